//! The bounds of every command, each with its name. Knows no command.

/// Bounds on what one command may bring and cause. Reached, they refuse with code 2001 (while running: 7009).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Characters of an id given by a caller.
    pub id_chars: usize,
    /// Characters of tenant, caller, operator, flow key and flow name.
    pub name_chars: usize,
    /// Characters of a remark or a reason.
    pub remark_chars: usize,
    /// Variables given with one command, or answered by a plug-in.
    pub variables: usize,
    /// Bytes of all variables given with one command; and of all that plug-ins answer in it.
    pub variable_bytes: usize,
    /// Nodes that one command may enter.
    pub steps: usize,
    /// Levels of call activities inside each other.
    pub call_depth: usize,
    /// Flow modules that a model may reach by call activities, over all levels.
    pub called_modules: usize,
    /// User tasks that one getRollbackTargets judges, the newest first.
    pub rollback_targets: usize,
    /// Bytes of one answer of a hook, an element plug-in or a merge strategy.
    pub hook_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            id_chars: 128,
            name_chars: 256,
            remark_chars: 4096,
            variables: 10_000,
            variable_bytes: 4 << 20,
            steps: 5_000,
            call_depth: 10,
            called_modules: 1_000,
            rollback_targets: 200,
            hook_bytes: 1 << 20,
        }
    }
}
