//! One node instance as the API shows it.

use std::sync::Arc;

use flowledger_engine_core::id::{FlowInstanceId, InstanceDataId, NodeInstanceId};
use flowledger_engine_core::instance::{self, FlowInstance};
use flowledger_engine_core::model::element::Properties;
use flowledger_engine_core::value::Value;
use serde::Serialize;

use crate::View;
use crate::date::Date;
use crate::runtime::RuntimeResult;

/// One visit of a node (API document §5; what the reference engine leaves out is filled: docs/behaviour.md, T-52 and T-53).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeInstance {
    /// Its id; what commitTask and rollbackTask take as taskInstanceId.
    pub node_instance_id: NodeInstanceId,
    /// The element's key in the model.
    pub model_key: Arc<str>,
    /// The element's name in the model; empty when it has none.
    pub model_name: Arc<str>,
    /// The element's properties in the model; empty when it has none.
    pub properties: Arc<Properties>,
    /// 1 completed, 2 active, 3 failed, 4 rolled back, 5 a join that waits, 6 closed by the join of its branch.
    pub status: i32,
    /// The element's type in the model.
    pub flow_element_type: i64,
    /// The snapshot it was entered with; absent as long as the flow has no variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_data_id: Option<InstanceDataId>,
    /// What the plug-in that runs the element left there with its last step; absent where it left nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plug_in_payload: Option<Value>,
    /// The sub flow instance that a call activity runs; only with getNodeInstance, and empty before it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_flow_instance_id_list: Option<Vec<FlowInstanceId>>,
    /// Where the sub flow stands; only with start, commit and rollback, and only on a call activity that waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_node_result_list: Option<Vec<RuntimeResult>>,
    /// When it was entered.
    pub create_time: Date,
    /// When its status changed last.
    pub modify_time: Date,
}

impl NodeInstance {
    /// The view of one node instance.
    pub fn of(node: &instance::NodeInstance, instance: &FlowInstance, view: View<'_>) -> Self {
        let element = view
            .model(instance, node.flow)
            .and_then(|model| model.element(&node.key));
        Self {
            node_instance_id: node.id.clone(),
            model_key: node.key.clone(),
            model_name: element.map_or("", |element| element.name()).into(),
            properties: element
                .and_then(|element| element.properties.clone())
                .unwrap_or_default(),
            status: node.status.number(),
            flow_element_type: node.element_type.number(),
            instance_data_id: node.entry.id.clone(),
            plug_in_payload: node.plug_in.as_ref().and_then(|left| left.payload.clone()),
            sub_flow_instance_id_list: None,
            sub_node_result_list: None,
            create_time: Date::new(node.created_at, view.profile),
            modify_time: Date::new(node.modified_at, view.profile),
        }
    }
}
