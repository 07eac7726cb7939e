//! Pictures of models and of instances.

use flowledger_engine_core::model::parse::{self, ModelLimits};
use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::drawing::{self, Drawing, DrawingFormat, Overlay, Theme};
use serde::Serialize;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::query::InstanceQuery;

/// How a picture is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrawOptions {
    /// SVG, unless said otherwise.
    pub format: DrawingFormat,
    /// The colours of an SVG: as its viewer prefers, unless said otherwise. Mermaid colours by its own theme.
    pub theme: Theme,
}

/// The picture of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrawResult {
    /// 1000.
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
    /// The SVG document or the Mermaid text.
    pub drawing: String,
    /// The version of the instance that is shown.
    pub version: u64,
}

impl Engine {
    /// Draws an instance at a moment: the ways it took, where it stands, failed attempts and what was rolled back. Sub flow
    /// instances have panels of their own, unless the query leaves them out.
    ///
    /// The same instance at the same version gives the same bytes.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 7417.
    pub async fn draw(&self, query: impl Into<InstanceQuery>, options: DrawOptions) -> Result<DrawResult, EngineError> {
        self.draw_as(query.into(), options, |_| ()).await
    }

    /// The same, with a last touch: another title, say.
    pub(crate) async fn draw_as(
        &self,
        query: InstanceQuery,
        options: DrawOptions,
        touch: impl FnOnce(&mut Drawing<'_>) + Send,
    ) -> Result<DrawResult, EngineError> {
        let found = self.find(&query).await?;
        let view = found.view(self.profile());
        let mut picture = drawing::instance(&found.state, found.flow, query.effective_for_sub_flow_instance, view);
        touch(&mut picture);
        Ok(DrawResult {
            err_code: ResultCode::Success.number(),
            err_msg: ResultCode::Success.entry().text.to_owned(),
            drawing: picture.render(options.format, options.theme),
            version: found.version(),
        })
    }
}

/// Draws the text of a model, without a store: any model that can be read, also one with faults. The overlay says which of
/// its elements stand out, and how; an empty one marks nothing.
///
/// # Errors
/// 3201 the text is not JSON or has no elements; 3217 an element that cannot be read, or a limit of [`ModelLimits`].
///
/// ```
/// use flowledger::{DrawOptions, Overlay, draw_model};
///
/// let text = r#"{"flowElementList":[{"key":"start","type":2}]}"#;
/// let svg = draw_model("A start", text, Overlay::default(), DrawOptions::default())?;
/// assert!(svg.starts_with("<svg"));
/// # Ok::<(), flowledger::EngineError>(())
/// ```
pub fn draw_model(title: &str, text: &str, overlay: Overlay, options: DrawOptions) -> Result<String, EngineError> {
    let model = parse::parse(text, &ModelLimits::default()).map_err(|fault| {
        EngineError::new(fault.code, fault.to_string()).answered_as(Profile::default(), CodeContext::Other)
    })?;
    Ok(Drawing::of_model(title, &model, overlay).render(options.format, options.theme))
}
