//! Instance data: variables as callers give them, and the snapshots that node instances carry.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::slice;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::codec::form::{optional_text, text};
use crate::event::{Transfer, TransferRule};
use crate::id::InstanceDataId;
use crate::value::Value;

/// One variable as the API has it: `{"key", "type", "value"}`.
///
/// `type` is stored and given back as it came; nothing reads it. A missing `value` is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct InstanceData {
    /// The variable's name.
    #[cbor(n(0), with = "text")]
    pub key: Arc<str>,
    /// The caller's name for the type, for example `string` or `integer`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(2), with = "optional_text", has_nil)]
    pub data_type: Option<Arc<str>>,
    /// The value.
    #[serde(default)]
    #[n(1)]
    pub value: Value,
}

impl InstanceData {
    /// A variable without a type.
    pub fn new(key: &str, value: impl Into<Value>) -> Self {
        Self {
            key: key.into(),
            data_type: None,
            value: value.into(),
        }
    }

    /// Bytes the variable takes, roughly.
    pub fn weight(&self) -> usize {
        let data_type = self.data_type.as_ref().map_or(0, |text| text.len());
        self.key
            .len()
            .saturating_add(data_type)
            .saturating_add(self.value.weight())
    }
}

/// All variables at one moment: a list, each key once, in byte order of the keys. JSON: the list.
///
/// Cloning costs a pointer. A change copies the list, which is cheaper than a tree for the tens of variables a flow has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Variables(Arc<Vec<InstanceData>>);

impl Deref for Variables {
    type Target = [InstanceData];

    fn deref(&self) -> &[InstanceData] {
        &self.0
    }
}

impl<'v> IntoIterator for &'v Variables {
    type Item = &'v InstanceData;
    type IntoIter = slice::Iter<'v, InstanceData>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Variables {
    /// These variables, overridden key by key; of one key given twice the later entry wins.
    pub fn merged(&self, changes: &[InstanceData]) -> Self {
        if changes.is_empty() {
            return self.clone();
        }
        let mut sorted: Vec<&InstanceData> = changes.iter().collect();
        sorted.sort_by(|left, right| left.key.cmp(&right.key));
        let mut merged = Vec::with_capacity(self.0.len() + sorted.len());
        let mut kept = self.0.iter().peekable();
        let mut rest = sorted.into_iter().peekable();
        while let Some(change) = rest.next() {
            // The sort is stable, so of equal keys the last is the one given last.
            if rest.peek().is_some_and(|next| next.key == change.key) {
                continue;
            }
            while let Some(known) = kept.next_if(|known| known.key < change.key) {
                merged.push(known.clone());
            }
            let _ = kept.next_if(|known| known.key == change.key);
            merged.push(change.clone());
        }
        merged.extend(kept.cloned());
        Self(Arc::new(merged))
    }

    /// The variables whose value differs from that in `base`, or that `base` does not have, ordered by key.
    ///
    /// Variables are never removed, so these turn `base` into `self`, but for types that changed without the value.
    pub fn changes_from(&self, base: &Self) -> Vec<InstanceData> {
        if Arc::ptr_eq(&self.0, &base.0) {
            return Vec::new();
        }
        self.iter()
            .filter(|variable| base.value(&variable.key) != Some(&variable.value))
            .cloned()
            .collect()
    }

    /// The value under a key.
    pub fn value(&self, key: &str) -> Option<&Value> {
        let found = self.0.binary_search_by(|known| (*known.key).cmp(key)).ok()?;
        self.0.get(found).map(|variable| &variable.value)
    }

    /// As a map from key to value.
    pub fn to_map(&self) -> BTreeMap<Arc<str>, Value> {
        self.iter()
            .map(|variable| (variable.key.clone(), variable.value.clone()))
            .collect()
    }
}

/// Variables with the id under which the API shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// `None` as long as nothing was ever given.
    pub id: Option<InstanceDataId>,
    /// The variables.
    pub variables: Variables,
}

impl Transfer {
    /// The variables that cross the border.
    pub fn of(&self, variables: &Variables) -> Vec<InstanceData> {
        match self {
            Self::None => Vec::new(),
            Self::Full => variables.to_vec(),
            Self::Part(rules) => rules
                .iter()
                .map(|rule| match rule {
                    TransferRule::Context { source_key, target_key } => {
                        InstanceData::new(target_key, variables.value(source_key).cloned().unwrap_or_default())
                    }
                    TransferRule::Fixed {
                        source_value,
                        target_key,
                    } => InstanceData::new(target_key, Value::Text(source_value.clone())),
                })
                .collect(),
        }
    }
}

impl Snapshot {
    /// This snapshot with changes under a new id; without an id nothing changed.
    pub fn merged(&self, id: Option<&InstanceDataId>, changes: &[InstanceData]) -> Self {
        match id {
            None => self.clone(),
            Some(id) => Self {
                id: Some(id.clone()),
                variables: self.variables.merged(changes),
            },
        }
    }
}

impl crate::expression::Variables for Variables {
    fn get(&self, name: &str) -> Option<&Value> {
        self.value(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn merging_equals_inserting_into_a_map(rounds in proptest::collection::vec(
            proptest::collection::vec(("[a-e]{1,2}", 0i64..9), 0..6), 0..5,
        )) {
            let mut variables = Variables::default();
            let mut map = BTreeMap::new();
            for changes in rounds {
                let changes: Vec<InstanceData> =
                    changes.iter().map(|(key, value)| InstanceData::new(key, *value)).collect();
                variables = variables.merged(&changes);
                map.extend(changes.into_iter().map(|change| (change.key, change.value)));
                prop_assert_eq!(variables.to_map(), map.clone());
                for (key, value) in &map {
                    prop_assert_eq!(variables.value(key), Some(value));
                }
                prop_assert_eq!(variables.value("zz"), None);
                let told = serde_json::to_value(&variables).unwrap();
                prop_assert_eq!(told, serde_json::to_value(variables.to_vec()).unwrap());
                prop_assert!(variables.is_sorted_by(|left, right| left.key < right.key));
            }
        }
    }
}
