//! Event logs for process mining, written out of the log.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};

use flowledger_engine_core::codec;
use flowledger_engine_core::decider::Decider as _;
use flowledger_engine_core::event::{AnyRecord, InstanceEvent, InstanceRecord, ModuleRecord};
use flowledger_engine_core::id::FlowModuleId;
use flowledger_engine_core::instance::FlowInstance;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_engine_core::time::Timestamp;
use flowledger_event_store::{Offset, Revision, StreamId};
use flowledger_projections::View;
use flowledger_projections::event_log::{InstanceObjects, ModuleObjects, Ocel, Story, Xes};
use serde::Serialize;

use crate::copies::io_error;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::get_flow_module::GetFlowModuleParam;
use crate::operation::log::LogProgress;

/// Records read at a time.
const READ_BATCH: usize = 1_000;

/// The standards in which event logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventLogFormat {
    /// XES, IEEE 1849: a trace for each root flow instance.
    #[default]
    Xes,
    /// OCEL 2.0 as JSON: events, and the objects they are about.
    Ocel,
}

/// What an event log is about. Absent members do not restrict it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventLogOptions {
    /// XES, unless said otherwise.
    pub format: EventLogFormat,
    /// Only instances of this module; sub flow instances belong to theirs.
    pub flow_module_id: Option<FlowModuleId>,
    /// Only instances started at or after this time.
    pub started_from: Option<Timestamp>,
    /// Only instances started before this time.
    pub started_before: Option<Timestamp>,
    /// As of this time: without what was recorded later.
    pub as_of: Option<Timestamp>,
    /// Whether start and end events and gateways are told, too, and not only tasks, call activities and what plug-ins run.
    pub all_nodes: bool,
}

/// What an event log has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventLogReport {
    /// Root flow instances: the cases.
    pub instances: u64,
    /// Events.
    pub events: u64,
    /// Objects; 0 in XES.
    pub objects: u64,
    /// How many records the log had when it was begun; later ones are not in it.
    pub records: u64,
}

impl Engine {
    /// Writes an event log for process mining, of all instances or of some, while commands go on. `progress` is told how far
    /// it has come.
    ///
    /// The log is read once for XES and twice for OCEL, and each instance's records twice. In memory are one instance and, for
    /// OCEL, the names of activities and variables and the modules it is about.
    ///
    /// # Errors
    /// 3101 unknown module (`turbo131`: 2001); 7008 a store that cannot be read, or a writer that fails; 7800, 7803.
    pub async fn event_log(
        &self,
        options: &EventLogOptions,
        to: impl Write,
        progress: impl FnMut(LogProgress),
    ) -> Result<EventLogReport, EngineError> {
        if let Some(id) = &options.flow_module_id {
            self.get_flow_module(GetFlowModuleParam::of_module(id)).await?;
        }
        let mut writing = Writing {
            engine: self,
            options,
            to: BufWriter::new(to),
            progress,
            report: EventLogReport {
                instances: 0,
                events: 0,
                objects: 0,
                records: self.log().head(0).get(),
            },
            modules: BTreeSet::new(),
        };
        let written = async {
            match options.format {
                EventLogFormat::Xes => writing.xes().await?,
                EventLogFormat::Ocel => writing.ocel().await?,
            }
            writing.to.flush().map_err(unwritten)?;
            Ok(writing.report)
        };
        written
            .await
            .map_err(|error: EngineError| error.answered_as(self.profile(), CodeContext::Other))
    }
}

fn unwritten(error: std::io::Error) -> EngineError {
    io_error("writing the event log", error)
}

/// The first record of a stream.
enum First {
    Instance(StreamId, Box<InstanceRecord>),
    Module(StreamId),
}

struct Writing<'e, W: Write, P> {
    engine: &'e Engine,
    options: &'e EventLogOptions,
    to: BufWriter<W>,
    progress: P,
    report: EventLogReport,
    /// The modules that the instances run, by their streams.
    modules: BTreeSet<StreamId>,
}

impl<W: Write, P: FnMut(LogProgress)> Writing<'_, W, P> {
    fn put(&mut self, text: &str) -> Result<(), EngineError> {
        self.to.write_all(text.as_bytes()).map_err(unwritten)
    }

    /// Puts JSON objects into a list.
    fn put_all(&mut self, objects: Vec<String>, count: &mut u64) -> Result<(), EngineError> {
        for object in objects {
            self.put(if *count == 0 { "\n" } else { ",\n" })?;
            self.put(&object)?;
            *count += 1;
        }
        Ok(())
    }

    async fn xes(&mut self) -> Result<(), EngineError> {
        let xes = Xes {
            all_nodes: self.options.all_nodes,
        };
        self.put(&xes.head())?;
        let mut after = 0;
        while let Some(firsts) = self.firsts(&mut after).await? {
            for first in firsts {
                let First::Instance(stream, first) = first else {
                    continue;
                };
                let last = self.last(&stream).await?;
                let deployments = self.engine.deployments_of(&last).await?;
                self.report.instances += 1;
                self.put(&xes.trace(&first, &last))?;
                let mut story = Story::default();
                let mut version = Revision::NONE;
                while let Some(records) = self.records(&stream, &mut version).await? {
                    for (_, record) in records {
                        let AnyRecord::Instance(record) = record else {
                            continue;
                        };
                        let told = story.tell(&record);
                        let view = View {
                            deployments: &deployments,
                            profile: self.engine.profile(),
                        };
                        let (text, events) = xes.events(&record, &told, story.state(), &last, view);
                        self.report.events += events;
                        self.put(&text)?;
                    }
                }
                self.put(xes.end())?;
            }
        }
        self.put(xes.tail())
    }

    async fn ocel(&mut self) -> Result<(), EngineError> {
        let mut ocel = Ocel::new(self.options.all_nodes);
        let (mut events, mut objects) = (0, 0);
        self.put("{\"events\":[")?;
        let mut after = 0;
        while let Some(firsts) = self.firsts(&mut after).await? {
            for first in firsts {
                match first {
                    First::Instance(stream, _) => self.ocel_events(&stream, &mut ocel, &mut events).await?,
                    First::Module(stream) => self.ocel_module_events(&stream, &mut ocel, &mut events).await?,
                }
            }
        }
        self.put("],\n\"objects\":[")?;
        let mut after = 0;
        while let Some(firsts) = self.firsts(&mut after).await? {
            for first in firsts {
                let told = match first {
                    First::Instance(stream, _) => {
                        let mut instance = InstanceObjects::default();
                        let mut version = Revision::NONE;
                        while let Some(records) = self.records(&stream, &mut version).await? {
                            for (_, record) in records {
                                if let AnyRecord::Instance(record) = record {
                                    instance.apply(&record);
                                }
                            }
                        }
                        let deployments = self.engine.deployments_of(instance.state()).await?;
                        let view = View {
                            deployments: &deployments,
                            profile: self.engine.profile(),
                        };
                        self.report.instances += 1;
                        ocel.objects(&instance, view)
                    }
                    First::Module(stream) => {
                        let mut module = ModuleObjects::default();
                        self.module_records(&stream, |_, record| module.apply(record)).await?;
                        ocel.module_objects(&module)
                    }
                };
                self.put_all(told, &mut objects)?;
            }
        }
        self.report.events = events;
        self.report.objects = objects;
        self.put("],\n")?;
        self.put(&ocel.types())?;
        self.put("}\n")
    }

    async fn ocel_events(&mut self, stream: &StreamId, ocel: &mut Ocel, count: &mut u64) -> Result<(), EngineError> {
        let last = self.last(stream).await?;
        for (_, flow) in last.flows() {
            let id = flow.flow_module_id.id().to_bytes();
            self.modules.insert(StreamId::from_bytes(id));
        }
        let deployments = self.engine.deployments_of(&last).await?;
        let mut story = Story::default();
        let mut version = Revision::NONE;
        while let Some(records) = self.records(stream, &mut version).await? {
            for (position, record) in records {
                let AnyRecord::Instance(record) = record else {
                    continue;
                };
                let told = story.tell(&record);
                let view = View {
                    deployments: &deployments,
                    profile: self.engine.profile(),
                };
                let events = ocel.events(position, &record, &told, (story.state(), &last), view);
                self.put_all(events, count)?;
            }
        }
        Ok(())
    }

    async fn ocel_module_events(
        &mut self,
        stream: &StreamId,
        ocel: &mut Ocel,
        count: &mut u64,
    ) -> Result<(), EngineError> {
        let mut module = ModuleObjects::default();
        let mut told = Vec::new();
        self.module_records(stream, |position, record| {
            module.apply(record);
            if let Some(id) = module.id() {
                told.extend(ocel.module_events(position, record, id));
            }
        })
        .await?;
        self.put_all(told, count)
    }

    /// The next streams that the event log is about, each by its first record; `None` at the end.
    async fn firsts(&mut self, after: &mut u64) -> Result<Option<Vec<First>>, EngineError> {
        let head = self.report.records;
        if *after >= head {
            return Ok(None);
        }
        let batch = self
            .engine
            .log()
            .read_partition(0, Offset::new(*after), READ_BATCH)
            .await?;
        let mut firsts = Vec::new();
        // A log that ends before its head is told so by a verification.
        let Some(reached) = batch.last().map(|stored| stored.offset.get()) else {
            return Ok(None);
        };
        for stored in batch {
            if stored.offset.get() > head || stored.revision != Revision::new(1) {
                continue;
            }
            let record = codec::decode(&stored.record).map_err(|e| EngineError::unreadable(e, stored.offset))?;
            if self
                .options
                .as_of
                .is_some_and(|as_of| record.envelope().recorded_at > as_of)
            {
                continue;
            }
            match record {
                AnyRecord::Instance(record) if self.is_meant(&record) => {
                    firsts.push(First::Instance(stored.stream, Box::new(record)));
                }
                AnyRecord::Module(record) if self.is_module_meant(&stored.stream, &record) => {
                    firsts.push(First::Module(stored.stream));
                }
                AnyRecord::Instance(_) | AnyRecord::Module(_) => {}
            }
        }
        *after = reached;
        (self.progress)(LogProgress {
            position: reached.min(head),
            of: head,
        });
        Ok(Some(firsts))
    }

    fn is_meant(&self, first: &InstanceRecord) -> bool {
        let at = first.given.envelope.recorded_at;
        let module = first.events.iter().find_map(|event| match event {
            InstanceEvent::FlowStarted { flow_module_id, .. } => Some(flow_module_id),
            _ => None,
        });
        self.options.started_from.is_none_or(|from| from <= at)
            && self.options.started_before.is_none_or(|before| at < before)
            && self
                .options
                .flow_module_id
                .as_ref()
                .is_none_or(|wanted| module == Some(wanted))
    }

    /// Whether a module is wanted, or one of the instances runs it; what they run is known once their events are told.
    fn is_module_meant(&self, stream: &StreamId, first: &ModuleRecord) -> bool {
        let wanted = self.options.flow_module_id.as_ref();
        let is_wanted = wanted.is_none_or(|wanted| wanted.id().to_bytes() == first.given.envelope.stream);
        is_wanted || self.modules.contains(stream)
    }

    /// The next records of a stream, as far as the event log goes, with their positions; `None` at the end.
    async fn records(
        &self,
        stream: &StreamId,
        after: &mut Revision,
    ) -> Result<Option<Vec<(u64, AnyRecord)>>, EngineError> {
        let batch = self.engine.log().read_stream(stream, *after, READ_BATCH).await?;
        let mut records = Vec::with_capacity(batch.len());
        for stored in batch {
            if stored.offset.get() > self.report.records {
                break;
            }
            let record = codec::decode(&stored.record).map_err(|e| EngineError::unreadable(e, stored.offset))?;
            if self
                .options
                .as_of
                .is_some_and(|as_of| record.envelope().recorded_at > as_of)
            {
                break;
            }
            *after = stored.revision;
            records.push((stored.offset.get(), record));
        }
        Ok((!records.is_empty()).then_some(records))
    }

    async fn module_records(
        &self,
        stream: &StreamId,
        mut each: impl FnMut(u64, &ModuleRecord),
    ) -> Result<(), EngineError> {
        let mut version = Revision::NONE;
        while let Some(records) = self.records(stream, &mut version).await? {
            for (position, record) in &records {
                if let AnyRecord::Module(record) = record {
                    each(*position, record);
                }
            }
        }
        Ok(())
    }

    /// The instance at the end of what the event log tells of it.
    async fn last(&self, stream: &StreamId) -> Result<FlowInstance, EngineError> {
        let mut last = FlowInstance::default();
        let mut version = Revision::NONE;
        while let Some(records) = self.records(stream, &mut version).await? {
            for (_, record) in &records {
                if let AnyRecord::Instance(record) = record {
                    last.apply_record(record);
                }
            }
        }
        if last.root().is_none() {
            let detail = format!("stream {stream} has no flow instance");
            return Err(EngineError::new(ResultCode::SystemError, detail));
        }
        Ok(last)
    }
}
