//! The tree of a condition: what its text says, with every name and operator resolved; knows neither text nor rhai.

use std::sync::Arc;

use super::number::Number;

/// One part of a condition, with the depth of what is below it.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) kind: Kind,
    pub(super) depth: usize,
}

/// What a part of a condition is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(Arc<str>),
    /// Double-quoted text with values in it.
    Template(Vec<Expr>),
    /// The variable with this place in the list of names.
    Variable(usize),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Range {
        from: Box<Expr>,
        to: Box<Expr>,
        inclusive: bool,
    },
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Conditional(Box<Expr>, Box<Expr>, Box<Expr>),
    Elvis(Box<Expr>, Box<Expr>),
    Property {
        of: Box<Expr>,
        name: Arc<str>,
        safe: bool,
    },
    /// A property whose name is computed, as in `m."${x}"`.
    Named {
        of: Box<Expr>,
        name: Box<Expr>,
        safe: bool,
    },
    Index {
        of: Box<Expr>,
        at: Box<Expr>,
    },
    Method {
        of: Box<Expr>,
        name: Arc<str>,
        arguments: Vec<Expr>,
        safe: bool,
    },
    Static {
        class: Class,
        name: Arc<str>,
        arguments: Vec<Expr>,
    },
    Constant {
        class: Class,
        name: Arc<str>,
    },
    InstanceOf(Box<Expr>, Class),
    /// `x as Type`.
    As(Box<Expr>, Type),
    /// `(Type) x`.
    Cast(Type, Box<Expr>),
    /// A call of what cannot be called: its arguments are reached, then it fails.
    Uncallable {
        name: Arc<str>,
        arguments: Vec<Expr>,
    },
}

/// What a value is converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) class: Class,
    /// A built-in type such as `int`, which has no null.
    pub(super) primitive: bool,
}

impl Type {
    /// The type of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let built_in = Class::built_in(name).map(|class| Self { class, primitive: true });
        built_in.or_else(|| {
            Class::named(name).map(|class| Self {
                class,
                primitive: false,
            })
        })
    }

    /// The name as it is written.
    pub(super) fn name(self) -> &'static str {
        match self.class {
            Class::Integer if self.primitive => "int",
            Class::Character if self.primitive => "char",
            Class::Long if self.primitive => "long",
            Class::Float if self.primitive => "float",
            Class::Double if self.primitive => "double",
            Class::Boolean if self.primitive => "boolean",
            class => class.name(),
        }
    }
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Minus,
    Plus,
    Complement,
}

/// Operators with two operands that are both evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
    ShiftLeft,
    ShiftRight,
    ShiftRightUnsigned,
    BitAnd,
    BitOr,
    BitXor,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Compare,
    In,
}

impl Unary {
    /// Every operator with one operand.
    pub(super) const ALL: [Self; 3] = [Self::Minus, Self::Plus, Self::Complement];
}

impl Binary {
    /// Every operator with two operands.
    pub(super) const ALL: [Self; 20] = [
        Self::Add,
        Self::Subtract,
        Self::Multiply,
        Self::Divide,
        Self::Remainder,
        Self::Power,
        Self::ShiftLeft,
        Self::ShiftRight,
        Self::ShiftRightUnsigned,
        Self::BitAnd,
        Self::BitOr,
        Self::BitXor,
        Self::Equal,
        Self::Unequal,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Compare,
        Self::In,
    ];
}

/// The classes a condition may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Object,
    Boolean,
    Character,
    Byte,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Number,
    BigInteger,
    BigDecimal,
    Comparable,
    CharSequence,
    String,
    GString,
    Iterable,
    Collection,
    List,
    ArrayList,
    Set,
    Map,
    LinkedHashMap,
    HashMap,
    Math,
    Objects,
}

impl Class {
    /// Every class with its name, in the order they are looked up.
    const NAMES: [(&'static str, Self); 26] = [
        ("Object", Self::Object),
        ("Boolean", Self::Boolean),
        ("Character", Self::Character),
        ("Byte", Self::Byte),
        ("Short", Self::Short),
        ("Integer", Self::Integer),
        ("Long", Self::Long),
        ("Float", Self::Float),
        ("Double", Self::Double),
        ("Number", Self::Number),
        ("BigInteger", Self::BigInteger),
        ("BigDecimal", Self::BigDecimal),
        ("Comparable", Self::Comparable),
        ("CharSequence", Self::CharSequence),
        ("String", Self::String),
        ("GString", Self::GString),
        ("Iterable", Self::Iterable),
        ("Collection", Self::Collection),
        ("List", Self::List),
        ("ArrayList", Self::ArrayList),
        ("Set", Self::Set),
        ("Map", Self::Map),
        ("LinkedHashMap", Self::LinkedHashMap),
        ("HashMap", Self::HashMap),
        ("Math", Self::Math),
        ("Objects", Self::Objects),
    ];

    /// The class of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, class)| *class)
    }

    /// The class behind the name of a built-in type such as `int`.
    pub(super) fn built_in(name: &str) -> Option<Self> {
        Some(match name {
            "boolean" => Self::Boolean,
            "byte" => Self::Byte,
            "char" => Self::Character,
            "double" => Self::Double,
            "float" => Self::Float,
            "int" => Self::Integer,
            "long" => Self::Long,
            "short" => Self::Short,
            _ => return None,
        })
    }

    /// The name of the class without its package.
    pub(super) fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, class)| *class == self)
            .map_or("Object", |(name, _)| name)
    }
}
