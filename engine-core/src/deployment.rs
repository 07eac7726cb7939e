//! A deployment: a model that was found good, compiled once and shared. Knows nothing of instances.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::expression::{Condition, ExpressionCalculator, ExpressionError};
use crate::id::{FlowDeployId, FlowModuleId};
use crate::invariant::{self, CompiledInvariant};
use crate::model::element::Element;
use crate::model::flow_model::FlowModel;
use crate::model::gateway::{self, GatewayRole, RoleFault};

/// A compiled condition, or why it does not compile.
type Compiled = Result<Arc<dyn Condition>, ExpressionError>;

/// One deployment, with the conditions of its model compiled when first needed.
pub struct Deployment {
    /// Its id.
    pub flow_deploy_id: FlowDeployId,
    /// The module it belongs to.
    pub flow_module_id: FlowModuleId,
    /// The tenant of the definition when it was deployed.
    pub tenant: Option<Arc<str>>,
    /// The caller of the definition when it was deployed.
    pub caller: Option<Arc<str>>,
    /// The model.
    pub model: FlowModel,
    /// Bytes of the model's text: what the deployment weighs in a cache, roughly.
    pub weight: usize,
    calculator: Arc<dyn ExpressionCalculator>,
    conditions: Vec<OnceLock<Compiled>>,
    roles: OnceLock<BTreeMap<Arc<str>, Result<GatewayRole, RoleFault>>>,
    invariants: OnceLock<Vec<CompiledInvariant>>,
}

impl Deployment {
    /// A deployment of a model.
    pub fn new(
        flow_deploy_id: FlowDeployId,
        flow_module_id: FlowModuleId,
        owner: (Option<Arc<str>>, Option<Arc<str>>),
        model: FlowModel,
        weight: usize,
        calculator: Arc<dyn ExpressionCalculator>,
    ) -> Self {
        let conditions = model.elements().iter().map(|_| OnceLock::new()).collect();
        let (tenant, caller) = owner;
        Self {
            flow_deploy_id,
            flow_module_id,
            tenant,
            caller,
            model,
            weight,
            calculator,
            conditions,
            roles: OnceLock::new(),
            invariants: OnceLock::new(),
        }
    }

    /// What a parallel or inclusive gateway is for; `None` for every other element.
    pub fn role(&self, gateway: &Element) -> Option<&Result<GatewayRole, RoleFault>> {
        self.roles.get_or_init(|| gateway::roles(&self.model)).get(&gateway.key)
    }

    /// What must hold of the instances. None of it where the model was deployed before that meant anything, and is not written
    /// as it must be.
    pub fn invariants(&self) -> &[CompiledInvariant] {
        if self.model.invariants().is_empty() {
            return &[];
        }
        self.invariants.get_or_init(|| {
            let is_accepted = self.model.invariant_faults().is_empty();
            let compiled = invariant::compile_all(self.model.invariants());
            compiled.ok().filter(|_| is_accepted).unwrap_or_default()
        })
    }

    /// The condition of a sequence flow; `None` when it carries none.
    ///
    /// # Errors
    /// A condition that does not translate.
    pub fn condition(&self, sequence_flow: &Element) -> Option<Compiled> {
        let text = sequence_flow.condition()?;
        let compiled = self
            .model
            .index_of(&sequence_flow.key)
            .and_then(|index| self.conditions.get(index))
            .map(|slot| slot.get_or_init(|| self.calculator.compile(text)).clone());
        Some(compiled.unwrap_or_else(|| self.calculator.compile(text)))
    }
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment")
            .field("flow_deploy_id", &self.flow_deploy_id)
            .finish_non_exhaustive()
    }
}
