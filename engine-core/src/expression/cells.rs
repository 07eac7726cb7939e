//! Values that tell conditions apart: for each variable, one value from every range in which no comparison changes.
//!
//! Knows what conditions compare with what, nothing of the gateways they stand at. Where a condition does more than
//! compare, the values are only a good sample, and the reading of that condition says so.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use bigdecimal::BigDecimal;

use super::dialect;
use super::item::Item;
use super::number::Number;
use super::tree::{Binary, Expr, Kind, Unary};
use super::{ExpressionError, evaluate, print};
use crate::value::Value;

/// Most values of one variable.
pub const MAX_CELLS: usize = 100;
/// Longest range of integers that is taken apart.
const MAX_RANGE: i64 = 64;

/// What one condition reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The variables it reads, by their place in [`Cells::variables`], in order.
    pub variables: Vec<usize>,
    /// What in it is more than the values can decide; `None` where they decide it.
    pub beyond: Option<String>,
}

/// A variable, or a member of a map in one, with the values to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellVariable {
    /// The name of the variable, then of the member, and so on.
    pub path: Vec<Arc<str>>,
    /// One value from every range; never empty.
    pub values: Vec<Value>,
}

impl CellVariable {
    /// The variable, without the member.
    pub fn root(&self) -> Arc<str> {
        self.path.first().cloned().unwrap_or_default()
    }

    /// As it is written in a condition.
    pub fn name(&self) -> String {
        self.path.join(".")
    }
}

/// The values of all variables that some conditions read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cells {
    /// The variables, ordered by path.
    pub variables: Vec<CellVariable>,
    /// What each condition reads, in the order in which they were given; one that does not compile reads nothing.
    pub readings: Vec<Reading>,
}

impl Cells {
    /// Takes conditions apart. `known` are values that a variable may have besides those in the conditions; `observed`
    /// are variables that get at least two values, also where no condition reads them; `more` says of how many variables
    /// each range is to have more values than one, because they are also compared with values of earlier.
    pub fn of(
        conditions: &[&str],
        known: &[(Arc<str>, Value)],
        observed: &[Arc<str>],
        more: &BTreeMap<Arc<str>, usize>,
    ) -> Self {
        Self::with_words(conditions, &[], &[], known, observed, more)
    }

    /// The same, with expressions behind the conditions in which words have values that are known: where only words and
    /// constants are compared there is nothing to try.
    pub fn with_words(
        conditions: &[&str],
        expressions: &[&str],
        words: &[&str],
        known: &[(Arc<str>, Value)],
        observed: &[Arc<str>],
        more: &BTreeMap<Arc<str>, usize>,
    ) -> Self {
        let mut evidence = Evidence {
            more: more.clone(),
            ..Evidence::default()
        };
        let mut scans = Vec::new();
        let conditions = conditions.iter().map(|text| (text, &[][..]));
        let expressions = expressions.iter().map(|text| (text, words));
        for (condition, words) in conditions.chain(expressions) {
            let mut scan = Scan {
                words: words.iter().map(|word| (*word).into()).collect(),
                ..Scan::default()
            };
            match dialect::parse(condition) {
                Ok(parsed) => {
                    scan.names = parsed.names;
                    evidence.boolean(&mut scan, &parsed.expr, true);
                }
                Err(error) => scan.beyond = Some(format!("it does not compile ({})", error.cause())),
            }
            scans.push(scan);
        }
        for name in observed {
            let is_read = evidence.paths.keys().any(|path| path.first() == Some(name));
            if !is_read {
                let observed = evidence.paths.entry(vec![name.clone()]).or_default();
                observed.texts.extend(["a".into(), "b".into()]);
            }
        }
        for (name, value) in known {
            if let Some(known) = evidence.paths.get_mut(&vec![name.clone()]) {
                known.constant(value);
            }
        }
        let places: BTreeMap<Vec<Arc<str>>, usize> = evidence.paths.keys().cloned().zip(0..).collect();
        let mixed = evidence.mixed_roots();
        let too_many: BTreeSet<Vec<Arc<str>>> = evidence.too_many();
        let readings = scans.into_iter().map(|mut scan| {
            // A map that is also looked at as a whole is read with each of its members.
            let paths: BTreeSet<Vec<Arc<str>>> = scan
                .paths
                .iter()
                .flat_map(|path| (1..=path.len()).map(|length| path.iter().take(length).cloned().collect()))
                .collect();
            if paths.iter().any(|path| mixed.contains(path)) {
                scan.set_beyond("a variable is compared as a whole, and by its members");
            }
            if paths.iter().any(|path| too_many.contains(path)) {
                scan.set_beyond(&format!("a variable is compared with more than {MAX_CELLS} values"));
            }
            let variables: BTreeSet<usize> = paths.iter().filter_map(|path| places.get(path).copied()).collect();
            Reading {
                variables: variables.into_iter().collect(),
                beyond: scan.beyond,
            }
        });
        let readings = readings.collect();
        Self {
            variables: evidence.variables(),
            readings,
        }
    }

    /// The variables of a choice: for each place in [`Cells::variables`] the place of its value.
    pub fn assignment(&self, choice: &BTreeMap<usize, usize>) -> BTreeMap<Arc<str>, Value> {
        let mut members: BTreeMap<Arc<str>, Tree> = BTreeMap::new();
        for (variable, value) in choice {
            let Some(variable) = self.variables.get(*variable) else {
                continue;
            };
            let Some(value) = variable.values.get(*value) else {
                continue;
            };
            let mut at = members.entry(variable.root()).or_default();
            for name in variable.path.iter().skip(1) {
                at = at.members.entry(name.clone()).or_default();
            }
            at.value = Some(value.clone());
        }
        members.into_iter().map(|(name, tree)| (name, tree.value())).collect()
    }
}

/// A value that is put together from its members.
#[derive(Default)]
struct Tree {
    value: Option<Value>,
    members: BTreeMap<Arc<str>, Tree>,
}

impl Tree {
    fn value(self) -> Value {
        let is_map = matches!(self.value, None | Some(Value::Map(_)));
        if is_map && !self.members.is_empty() {
            let members = self.members.into_iter().map(|(name, tree)| (name, tree.value()));
            return Value::Map(Arc::new(members.collect()));
        }
        self.value.unwrap_or_default()
    }
}

/// What is known of one variable.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Known {
    numbers: BTreeSet<BigDecimal>,
    /// The values under which a number is written in a condition.
    written: BTreeMap<BigDecimal, Value>,
    texts: BTreeSet<Arc<str>>,
    is_null: bool,
    is_bool: bool,
    /// It is tested for truth.
    is_tested: bool,
    is_number: bool,
    is_text: bool,
    /// Texts are ordered, not only compared.
    is_ordered: bool,
    /// Other variables it is compared with.
    group: BTreeSet<Vec<Arc<str>>>,
}

impl Known {
    fn constant(&mut self, value: &Value) {
        match value {
            Value::Null => self.is_null = true,
            Value::Bool(_) => self.is_bool = true,
            Value::Int(int) => self.number(&BigDecimal::from(*int), value),
            Value::Decimal(decimal) => self.number(decimal, value),
            Value::Text(text) => {
                self.texts.insert(text.clone());
            }
            Value::Number(_) | Value::List(_) | Value::Map(_) => {}
        }
    }

    /// It is text that a method is called on, whose answer is compared with constants.
    fn texts_near(&mut self, constants: &[Value]) {
        self.is_text = true;
        self.texts.insert("".into());
        for value in constants {
            match value {
                Value::Text(text) => {
                    self.texts.insert(text.clone());
                }
                Value::Int(length) => {
                    let lengths = (length - 1..=length + 1).filter_map(|length| usize::try_from(length).ok());
                    let texts = lengths
                        .filter(|length| *length <= MAX_CELLS)
                        .map(|length| "x".repeat(length));
                    self.texts.extend(texts.map(Into::into));
                }
                _ => {}
            }
        }
    }

    fn number(&mut self, number: &BigDecimal, value: &Value) {
        let number = number.normalized();
        self.written.entry(number.clone()).or_insert_with(|| value.clone());
        self.numbers.insert(number);
    }
}

/// What one condition was found to do.
#[derive(Default)]
struct Scan {
    names: Vec<Arc<str>>,
    /// Names whose values are known.
    words: Vec<Arc<str>>,
    paths: BTreeSet<Vec<Arc<str>>>,
    beyond: Option<String>,
}

impl Scan {
    /// Whether an expression reads nothing but names whose values are known.
    fn is_known(&self, expr: &Expr) -> bool {
        if self.words.is_empty() {
            return false;
        }
        let mut parts = Vec::new();
        collect(expr, &self.names, &mut parts);
        parts.iter().all(|part| match part {
            Part::Path(path) | Part::Text(path) => path.first().is_some_and(|root| self.words.contains(root)),
            Part::Constant(_) => true,
        })
    }

    fn set_beyond(&mut self, what: &str) {
        self.beyond.get_or_insert_with(|| what.to_owned());
    }
}

/// What all conditions say about the values of variables.
#[derive(Default)]
struct Evidence {
    paths: BTreeMap<Vec<Arc<str>>, Known>,
    more: BTreeMap<Arc<str>, usize>,
}

impl Evidence {
    fn known(&mut self, scan: &mut Scan, path: &[Arc<str>]) -> &mut Known {
        scan.paths.insert(path.to_vec());
        self.paths.entry(path.to_vec()).or_default()
    }

    /// An expression that is asked for its truth; `is_result` where it must be a boolean.
    fn boolean(&mut self, scan: &mut Scan, expr: &Expr, is_result: bool) {
        if scan.is_known(expr) {
            return;
        }
        if let Some(path) = path_of(expr, &scan.names) {
            let known = self.known(scan, &path);
            known.is_tested = true;
            known.is_bool |= is_result;
            return;
        }
        match &expr.kind {
            Kind::And(operands) | Kind::Or(operands) => {
                for operand in operands {
                    self.boolean(scan, operand, false);
                }
            }
            Kind::Not(operand) => self.boolean(scan, operand, false),
            Kind::Conditional(condition, then, otherwise) => {
                self.boolean(scan, condition, false);
                self.boolean(scan, then, is_result);
                self.boolean(scan, otherwise, is_result);
            }
            Kind::Elvis(first, second) => {
                self.boolean(scan, first, is_result);
                self.boolean(scan, second, is_result);
            }
            Kind::Binary(binary, left, right) => self.comparison(scan, *binary, left, right),
            Kind::Method {
                of, name, arguments, ..
            } => self.method(scan, of, name, arguments),
            _ if is_constant(expr) => {}
            _ => self.sample(scan, expr),
        }
    }

    fn comparison(&mut self, scan: &mut Scan, binary: Binary, left: &Expr, right: &Expr) {
        let is_order = matches!(
            binary,
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual
        );
        let is_equality = matches!(binary, Binary::Equal | Binary::Unequal);
        let sides = (path_of(left, &scan.names), path_of(right, &scan.names));
        match sides {
            (Some(path), None) if is_order || is_equality => {
                if let Some(value) = constant(right) {
                    return self.compared(scan, &path, &value, is_order);
                }
            }
            (None, Some(path)) if is_order || is_equality => {
                if let Some(value) = constant(left) {
                    return self.compared(scan, &path, &value, is_order);
                }
            }
            (Some(one), Some(other)) if is_order || is_equality => {
                for (path, with) in [(&one, &other), (&other, &one)] {
                    let known = self.known(scan, path);
                    known.is_ordered |= is_order;
                    if path != with {
                        known.group.insert(with.clone());
                    }
                }
                return;
            }
            (Some(path), None) if binary == Binary::In => {
                if let Some(values) = listed(right) {
                    for value in values {
                        self.compared(scan, &path, &value, false);
                    }
                    return;
                }
            }
            (None, None) if is_order || is_equality => {
                // `x.compareTo(5) > 0`
                if let (Some((path, value)), Some(Value::Int(0))) = (compared_to(left, &scan.names), constant(right)) {
                    return self.compared(scan, &path, &value, true);
                }
            }
            _ => {}
        }
        let both = [left, right];
        if is_equality && both.iter().all(|side| is_boolean(side)) {
            // `ok == true` of what is a boolean anyway.
            return both.iter().for_each(|side| self.boolean(scan, side, false));
        }
        self.sample_all(scan, &[left, right]);
    }

    fn compared(&mut self, scan: &mut Scan, path: &[Arc<str>], value: &Value, is_order: bool) {
        let known = self.known(scan, path);
        known.is_ordered |= is_order && matches!(value, Value::Text(_));
        known.constant(value);
        if matches!(value, Value::List(_) | Value::Map(_) | Value::Number(_)) {
            scan.set_beyond("a comparison with a list or a map");
        }
    }

    fn method(&mut self, scan: &mut Scan, of: &Expr, name: &str, arguments: &[Expr]) {
        let path = path_of(of, &scan.names);
        match (name, path, arguments) {
            ("equals", Some(path), [argument]) => {
                if let Some(value) = constant(argument) {
                    return self.compared(scan, &path, &value, false);
                }
                if let Some(other) = path_of(argument, &scan.names) {
                    for (path, with) in [(&path, &other), (&other, &path)] {
                        self.known(scan, path).group.insert(with.clone());
                    }
                    return;
                }
            }
            ("equals", None, [argument]) => {
                if let (Some(value), Some(path)) = (constant(of), path_of(argument, &scan.names)) {
                    return self.compared(scan, &path, &value, false);
                }
            }
            ("equalsIgnoreCase", Some(path), [argument]) => {
                if let Some(Value::Text(text)) = constant(argument) {
                    return self.cases(scan, &path, &text);
                }
            }
            ("equalsIgnoreCase", None, [argument]) => {
                if let (Some(Value::Text(text)), Some(path)) = (constant(of), path_of(argument, &scan.names)) {
                    return self.cases(scan, &path, &text);
                }
            }
            ("isEmpty", Some(path), []) => {
                let known = self.known(scan, &path);
                known.is_text = true;
                known.texts.insert("".into());
                return;
            }
            ("contains", None, [argument]) => {
                if let (Some(values), Some(path)) = (listed(of), path_of(argument, &scan.names)) {
                    for value in values {
                        self.compared(scan, &path, &value, false);
                    }
                    return;
                }
            }
            _ => {}
        }
        scan.set_beyond(&format!("the method `{name}`"));
        let all: Vec<&Expr> = std::iter::once(of).chain(arguments).collect();
        self.sample_all(scan, &all);
        if let Some(path) = path_of(of, &scan.names).filter(|_| is_of_text(name)) {
            let known = self.known(scan, &path);
            known.is_text = true;
            for argument in arguments {
                if let Some(Value::Text(text)) = constant(argument) {
                    let beside = [format!("{text}1"), format!("1{text}"), format!("1{text}1")];
                    known.texts.extend(beside.into_iter().map(Into::into));
                }
            }
        }
    }

    /// A text that counts in any case.
    fn cases(&mut self, scan: &mut Scan, path: &[Arc<str>], text: &str) {
        let known = self.known(scan, path);
        let mut first = text.chars();
        let mixed: String = first
            .next()
            .map(|letter| {
                letter
                    .to_uppercase()
                    .chain(first.flat_map(char::to_lowercase))
                    .collect()
            })
            .unwrap_or_default();
        for variant in [text.to_owned(), text.to_lowercase(), text.to_uppercase(), mixed] {
            known.texts.insert(variant.into());
        }
    }

    fn sample(&mut self, scan: &mut Scan, expr: &Expr) {
        self.sample_all(scan, &[expr]);
    }

    /// Parts that are more than a comparison: what they read is given values near the constants in them.
    fn sample_all(&mut self, scan: &mut Scan, exprs: &[&Expr]) {
        let mut parts = Vec::new();
        for expr in exprs {
            collect(expr, &scan.names, &mut parts);
        }
        let constants: Vec<Value> = parts
            .iter()
            .filter_map(|part| match part {
                Part::Constant(value) => Some(value.clone()),
                Part::Path(_) | Part::Text(_) => None,
            })
            .collect();
        let is_number = exprs.iter().any(|expr| is_arithmetic(expr));
        let mut reads = false;
        for part in parts {
            match part {
                Part::Constant(_) => {}
                Part::Path(path) => {
                    reads = true;
                    let known = self.known(scan, &path);
                    known.is_number |= is_number;
                    for value in &constants {
                        known.constant(value);
                    }
                }
                Part::Text(path) => {
                    reads = true;
                    self.known(scan, &path).texts_near(&constants);
                }
            }
        }
        let more = exprs
            .iter()
            .find(|expr| !is_constant(expr) && path_of(expr, &scan.names).is_none());
        if let Some(expr) = more.filter(|_| reads) {
            scan.set_beyond(what(expr));
        } else if reads {
            scan.set_beyond("a comparison of another kind");
        }
    }

    /// Variables that are compared as a whole though members of them are read.
    fn mixed_roots(&self) -> BTreeSet<Vec<Arc<str>>> {
        let mixed = self.paths.iter().filter(|(path, known)| {
            let has_members = self
                .paths
                .keys()
                .any(|other| other.len() > path.len() && other.starts_with(path));
            let is_whole = !known.numbers.is_empty()
                || !known.texts.is_empty()
                || known.is_bool
                || known.is_number
                || known.is_text
                || !known.group.is_empty();
            has_members && is_whole
        });
        mixed.map(|(path, _)| path.clone()).collect()
    }

    fn too_many(&self) -> BTreeSet<Vec<Arc<str>>> {
        let many = self.paths.keys().filter(|path| self.values(path).len() > MAX_CELLS);
        many.cloned().collect()
    }

    fn variables(self) -> Vec<CellVariable> {
        let variables = self.paths.keys().map(|path| CellVariable {
            path: path.clone(),
            values: self.values(path).into_iter().take(MAX_CELLS).collect(),
        });
        variables.collect()
    }

    /// The variables that one is compared with, over others, and itself.
    fn group_of(&self, path: &[Arc<str>]) -> BTreeSet<Vec<Arc<str>>> {
        let mut group = BTreeSet::from([path.to_vec()]);
        let mut open = vec![path.to_vec()];
        while let Some(path) = open.pop() {
            for other in self.paths.get(&path).into_iter().flat_map(|known| &known.group) {
                if group.insert(other.clone()) {
                    open.push(other.clone());
                }
            }
        }
        group
    }

    fn values(&self, path: &[Arc<str>]) -> Vec<Value> {
        let group = self.group_of(path);
        let mut all = Known::default();
        for known in group.iter().filter_map(|path| self.paths.get(path)) {
            all.numbers.extend(known.numbers.iter().cloned());
            all.written.extend(
                known
                    .written
                    .iter()
                    .map(|(number, value)| (number.clone(), value.clone())),
            );
            all.texts.extend(known.texts.iter().cloned());
            all.is_null |= known.is_null;
            all.is_bool |= known.is_bool;
            all.is_tested |= known.is_tested;
            all.is_number |= known.is_number;
            all.is_text |= known.is_text;
            all.is_ordered |= known.is_ordered;
        }
        let more = group
            .iter()
            .filter_map(|path| path.first().and_then(|root| self.more.get(root)));
        let count = group.len().saturating_add(more.copied().max().unwrap_or(0));
        let has_members = self
            .paths
            .keys()
            .any(|other| other.len() > path.len() && other.starts_with(path));
        if has_members {
            // The members are the value; besides them it may be null.
            return vec![Value::Map(Arc::default()), Value::Null];
        }
        let says_nothing = all.numbers.is_empty() && all.texts.is_empty() && !all.is_bool && !all.is_text;
        let is_number = all.is_number || !all.numbers.is_empty() || (group.len() > 1 && says_nothing);
        let is_text = all.is_text || !all.texts.is_empty();
        let only_null = all.is_null && !is_number && !is_text && !all.is_bool && !all.is_tested;
        let mut values = Vec::new();
        if all.is_bool || (all.is_tested && !is_number && !is_text) {
            values.extend([Value::Bool(true), Value::Bool(false)]);
        }
        if is_number {
            if all.is_tested || all.numbers.is_empty() {
                all.number(&BigDecimal::from(0), &Value::Int(0));
            }
            values.extend(numbers(&all, count));
        }
        if is_text {
            if all.is_tested {
                all.texts.insert("".into());
            }
            values.extend(texts(&all, count));
        }
        if only_null {
            values.extend((0..count).map(|number| Value::Text("x".repeat(number + 1).into())));
        }
        if all.is_null {
            values.push(Value::Null);
        }
        if values.is_empty() {
            values.push(Value::Bool(true));
        }
        values
    }
}

/// The constants, and `count` values in every gap between them.
fn numbers(known: &Known, count: usize) -> Vec<Value> {
    let one = BigDecimal::from(1);
    let count = i64::try_from(count).unwrap_or(i64::MAX).clamp(1, 9);
    let mut values = Vec::new();
    let mut before: Option<&BigDecimal> = None;
    for number in &known.numbers {
        match before {
            None => values.extend(
                (1..=count)
                    .rev()
                    .map(|step| of_number(&(number - &one * BigDecimal::from(step)))),
            ),
            Some(low) => values.extend(between(low, number, count)),
        }
        values.extend(known.written.get(number).cloned());
        before = Some(number);
    }
    if let Some(last) = before {
        values.extend((1..=count).map(|step| of_number(&(last + &one * BigDecimal::from(step)))));
    }
    values
}

/// Numbers strictly between two others, whole ones where there are enough.
fn between(low: &BigDecimal, high: &BigDecimal, count: i64) -> Vec<Value> {
    let gap = high - low;
    let is_whole = low.is_integer() && gap > count;
    let numbers = (1..=count).map(|step| {
        if is_whole {
            low + BigDecimal::from(step)
        } else {
            low + &gap * tenths(step.saturating_mul(10) / count.saturating_add(1))
        }
    });
    numbers.map(|number| of_number(&number)).collect()
}

fn tenths(count: i64) -> BigDecimal {
    BigDecimal::new(count.into(), 1)
}

fn of_number(number: &BigDecimal) -> Value {
    let number = number.normalized();
    let text = if number.is_integer() {
        number.with_scale(0).to_string()
    } else {
        number.to_plain_string()
    };
    Value::number(&text).unwrap_or_default()
}

/// The constants, and `count` others; behind each constant too where the order counts.
fn texts(known: &Known, count: usize) -> Vec<Value> {
    let mut values: Vec<Arc<str>> = known.texts.iter().cloned().collect();
    let mut others = 0..;
    let mut found = 0;
    while found < count {
        let Some(number) = others.next() else { break };
        let text: Arc<str> = if number == 0 {
            "other".into()
        } else {
            format!("other{number}").into()
        };
        if !known.texts.contains(&text) {
            values.push(text);
            found += 1;
        }
    }
    if known.is_ordered {
        let mut gaps: Vec<Arc<str>> = known.texts.iter().map(|text| format!("{text} ").into()).collect();
        if known.texts.first().is_some_and(|first| !first.is_empty()) {
            gaps.push("".into());
        }
        values.extend(gaps.into_iter().filter(|text| !known.texts.contains(text)));
    }
    values.into_iter().map(Value::Text).collect()
}

enum Part {
    Constant(Value),
    Path(Vec<Arc<str>>),
    /// What a method of text is called on.
    Text(Vec<Arc<str>>),
}

/// The constants and the variables in an expression; bounded by the nesting of conditions.
fn collect(expr: &Expr, names: &[Arc<str>], parts: &mut Vec<Part>) {
    if let Some(path) = path_of(expr, names) {
        parts.push(Part::Path(path));
        return;
    }
    if let Some(value) = constant(expr) {
        parts.push(Part::Constant(value));
        return;
    }
    if let Kind::Method {
        of, name, arguments, ..
    } = &expr.kind
        && is_of_text(name)
        && let Some(path) = path_of(of, names)
    {
        parts.push(Part::Text(path));
        for argument in arguments {
            collect(argument, names, parts);
        }
        return;
    }
    for part in below(expr) {
        collect(part, names, parts);
    }
}

fn below(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Variable(_) | Kind::Constant { .. } => {
            Vec::new()
        }
        Kind::Template(parts) | Kind::List(parts) | Kind::And(parts) | Kind::Or(parts) => parts.iter().collect(),
        Kind::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
        Kind::Range { from, to, .. } => vec![from, to],
        Kind::Unary(_, of)
        | Kind::Not(of)
        | Kind::InstanceOf(of, _)
        | Kind::As(of, _)
        | Kind::Cast(_, of)
        | Kind::Property { of, .. } => vec![of],
        Kind::Binary(_, left, right) | Kind::Elvis(left, right) => vec![left, right],
        Kind::Conditional(condition, then, otherwise) => vec![condition, then, otherwise],
        Kind::Named { of, name, .. } => vec![of, name],
        Kind::Index { of, at } => vec![of, at],
        Kind::Method { of, arguments, .. } => std::iter::once(of.as_ref()).chain(arguments).collect(),
        Kind::Static { arguments, .. } | Kind::Uncallable { arguments, .. } => arguments.iter().collect(),
    }
}

/// Whether a method is one of text.
fn is_of_text(name: &str) -> bool {
    matches!(
        name,
        "length"
            | "size"
            | "isEmpty"
            | "isBlank"
            | "contains"
            | "startsWith"
            | "endsWith"
            | "indexOf"
            | "substring"
            | "trim"
            | "toLowerCase"
            | "toUpperCase"
            | "charAt"
            | "equalsIgnoreCase"
            | "split"
            | "tokenize"
            | "replace"
    )
}

/// What in an expression is more than a comparison.
fn what(expr: &Expr) -> &'static str {
    match &expr.kind {
        Kind::Binary(Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Power, ..)
        | Kind::Unary(..) => "arithmetic with a variable",
        Kind::Binary(Binary::Remainder, ..) => "a remainder of a variable",
        Kind::Binary(Binary::In, ..) => "`in` with a list that is computed",
        Kind::Method { .. } => "a method of a variable",
        Kind::Static { .. } => "a function of a variable",
        Kind::InstanceOf(..) => "`instanceof`",
        Kind::As(..) | Kind::Cast(..) => "a conversion of a variable",
        Kind::Index { .. } | Kind::Named { .. } => "a member whose name or place is computed",
        Kind::Template(_) => "text with a variable in it",
        _ => "more than comparisons",
    }
}

fn is_arithmetic(expr: &Expr) -> bool {
    matches!(
        &expr.kind,
        Kind::Binary(
            Binary::Add
                | Binary::Subtract
                | Binary::Multiply
                | Binary::Divide
                | Binary::Remainder
                | Binary::Power
                | Binary::BitAnd
                | Binary::BitOr
                | Binary::BitXor,
            ..
        ) | Kind::Unary(..)
    )
}

/// Whether an expression gives a boolean whatever its variables are.
fn is_boolean(expr: &Expr) -> bool {
    matches!(
        &expr.kind,
        Kind::Bool(_)
            | Kind::And(_)
            | Kind::Or(_)
            | Kind::Not(_)
            | Kind::InstanceOf(..)
            | Kind::Binary(
                Binary::Equal
                    | Binary::Unequal
                    | Binary::Less
                    | Binary::LessOrEqual
                    | Binary::Greater
                    | Binary::GreaterOrEqual
                    | Binary::In,
                ..
            )
    )
}

/// The variable or the member of a map that an expression is.
fn path_of(expr: &Expr, names: &[Arc<str>]) -> Option<Vec<Arc<str>>> {
    match &expr.kind {
        Kind::Variable(index) => names.get(*index).map(|name| vec![name.clone()]),
        Kind::Property { of, name, .. } => {
            let mut path = path_of(of, names)?;
            path.push(name.clone());
            Some(path)
        }
        Kind::Index { of, at } => match &at.kind {
            Kind::Text(name) => {
                let mut path = path_of(of, names)?;
                path.push(name.clone());
                Some(path)
            }
            _ => None,
        },
        _ => None,
    }
}

fn is_constant(expr: &Expr) -> bool {
    !matches!(expr.kind, Kind::Variable(_)) && below(expr).into_iter().all(is_constant)
}

/// The value of an expression without variables.
fn constant(expr: &Expr) -> Option<Value> {
    match &expr.kind {
        Kind::Null => Some(Value::Null),
        Kind::Bool(value) => Some(Value::Bool(*value)),
        Kind::Text(text) => Some(Value::Text(text.clone())),
        Kind::Number(number) => of_literal(number),
        Kind::Unary(Unary::Minus, of) => match &of.kind {
            Kind::Number(number) => of_literal(&number.negated()),
            _ => computed(expr),
        },
        _ => computed(expr),
    }
}

fn computed(expr: &Expr) -> Option<Value> {
    if !is_constant(expr) {
        return None;
    }
    let program = evaluate::Program::compile(&print::print(expr, &[]), Vec::new()).ok()?;
    let none: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    let item: Result<Item, ExpressionError> = program.evaluate(&[], &none);
    match item.ok()? {
        Item::Null => Some(Value::Null),
        Item::Bool(value) => Some(Value::Bool(value)),
        Item::Number(number) => of_literal(&number),
        Item::Text(text) => Some(Value::Text(text)),
        Item::Char(_) | Item::Template(_) | Item::List(_) | Item::Map(_) | Item::Huge(_) => None,
    }
}

/// A floating number has no place among exact ones.
fn of_literal(number: &Number) -> Option<Value> {
    match number {
        Number::Int(_) | Number::Long(_) | Number::Big(_) => Value::number(&number.to_string()),
        Number::Decimal(decimal) => {
            let text = decimal.to_string();
            BigDecimal::from_str(&text)
                .ok()
                .map(|decimal| Value::Decimal(Arc::new(decimal)))
        }
        Number::Float(_) | Number::Double(_) => None,
    }
}

/// The values of a list of constants, or of a short range.
fn listed(expr: &Expr) -> Option<Vec<Value>> {
    match &expr.kind {
        Kind::List(items) => items.iter().map(constant).collect(),
        Kind::Range { from, to, inclusive } => {
            let (Some(Value::Int(from)), Some(Value::Int(to))) = (constant(from), constant(to)) else {
                return None;
            };
            let to = if *inclusive { to } else { to.checked_sub(1)? };
            (to.checked_sub(from)? <= MAX_RANGE && from <= to).then(|| (from..=to).map(Value::Int).collect())
        }
        _ => None,
    }
}

/// `x.compareTo(constant)`.
fn compared_to(expr: &Expr, names: &[Arc<str>]) -> Option<(Vec<Arc<str>>, Value)> {
    let Kind::Method {
        of, name, arguments, ..
    } = &expr.kind
    else {
        return None;
    };
    match (name.as_ref(), arguments.as_slice()) {
        ("compareTo", [argument]) => Some((path_of(of, names)?, constant(argument)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::CompiledExpression;

    fn values(condition: &str) -> Vec<String> {
        let cells = Cells::of(&[condition], &[], &[], &BTreeMap::new());
        let shown = cells.variables.iter().map(|variable| {
            let values: Vec<String> = variable.values.iter().map(ToString::to_string).collect();
            format!("{} {}", variable.name(), values.join(" "))
        });
        shown.collect()
    }

    fn beyond(condition: &str) -> Option<String> {
        Cells::of(&[condition], &[], &[], &BTreeMap::new()).readings[0]
            .beyond
            .clone()
    }

    #[test]
    fn every_range_between_constants_has_a_value() {
        assert_eq!(values("a > 3"), ["a 2 3 4"]);
        assert_eq!(values("a > 3 && a <= 10"), ["a 2 3 4 10 11"]);
        assert_eq!(values("a > 3 || a < 4"), ["a 2 3 3.5 4 5"]);
        assert_eq!(values("-1 < a"), ["a -2 -1 0"]);
        assert_eq!(values("a == 1.50"), ["a 0.5 1.50 2.5"]);
        assert_eq!(values("s == 'x' || s in ['y', 'z']"), [r#"s "x" "y" "z" "other""#]);
        assert_eq!(values("x == null"), [r#"x "x" null"#]);
        assert_eq!(values("ok && !done"), ["done true false", "ok true false"]);
        assert_eq!(values("order.total > 2"), ["order.total 1 2 3"]);
        assert_eq!(
            values("order != null && order.total > 2"),
            ["order {} null", "order.total 1 2 3"]
        );
        assert_eq!(values("a < b"), ["a -2 -1 0 1 2", "b -2 -1 0 1 2"]);
        assert_eq!(values("5 in 1..3 || a in 1..3"), ["a 0 1 1.5 2 2.5 3 4"]);
    }

    #[test]
    fn what_is_more_than_a_comparison_is_named() {
        for decided in [
            "a > 3 ? ok : !ok",
            "s.equals('x') || 'y'.equals(s) || s.equalsIgnoreCase('Z')",
            "['a', 'b'].contains(s)",
            "m['k'] == 1",
            "a.compareTo(100) > 0",
            "s.isEmpty()",
            "(a > 3) == true",
            "a > 10 * 60",
        ] {
            assert_eq!(beyond(decided), None, "{decided}");
        }
        for (more, named) in [
            ("a % 2 == 0", "a remainder of a variable"),
            ("a + b > 3", "arithmetic with a variable"),
            ("s.startsWith('x')", "the method `startsWith`"),
            ("(a as int) > 5", "a conversion of a variable"),
            ("a >", "it does not compile (syntax)"),
        ] {
            assert_eq!(beyond(more).as_deref(), Some(named), "{more}");
        }
    }

    #[test]
    fn values_reach_every_answer_that_many_values_reach() {
        for condition in [
            "a > 3 && b < 2",
            "a >= 3 || a < b",
            "a == 3 ? b > 1 : b <= 0",
            "s == 'x' && a in [1, 2]",
            "ok ?: a > 5",
            "s > 'm'",
        ] {
            let cells = Cells::of(&[condition], &[], &[], &BTreeMap::new());
            let compiled = CompiledExpression::compile(condition).unwrap();
            let mut answers = BTreeSet::new();
            let mut choices = vec![BTreeMap::new()];
            for (place, variable) in cells.variables.iter().enumerate() {
                choices = choices
                    .iter()
                    .flat_map(|choice: &BTreeMap<usize, usize>| {
                        (0..variable.values.len()).map(|value| {
                            let mut choice = choice.clone();
                            choice.insert(place, value);
                            choice
                        })
                    })
                    .collect();
            }
            for choice in choices {
                answers.insert(compiled.evaluate(&cells.assignment(&choice)).unwrap());
            }
            assert_eq!(answers.len(), 2, "{condition}");
        }
    }
}
