//! `cargo xtask faults`: runs plans of faults against the operator on a control plane of its own. One by its name or from
//! a file, for whoever looks into a defect; or all there are, which takes the better part of an hour. Every plan that
//! differs is written into a file that replays it.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::ready;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{StreamExt, stream};
use tokio::runtime::Runtime;

use crate::faults::campaign::{Family, Tier, plans};
use crate::faults::fault::Fault;
use crate::faults::ground::Ground;
use crate::faults::oracles::judge;
use crate::faults::plan::Plan;
use crate::faults::reference::Reference;
use crate::faults::report::{Outcome, Report};
use crate::faults::run::together;
use crate::faults::turmoil::{Storm, Upset};
use crate::faults::workload;

#[derive(Debug, Args)]
pub(super) struct Faults {
    /// Only this plan: its name, as a failing test has it, or a file
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "full")]
    plan: Option<String>,
    /// All plans, instead of those that are always checked
    #[arg(long)]
    full: bool,
    /// Only plans whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Begin no further plan after so many minutes; which come first is drawn, the same each time
    #[arg(long)]
    minutes: Option<u64>,
    /// Where plans that differ are written
    #[arg(long, default_value = "plans")]
    folder: PathBuf,
    /// Runs at once: most of a run is waiting
    #[arg(long, default_value_t = 24)]
    lanes: usize,
}

pub(super) fn run(arguments: &Faults) -> Result<ExitCode, Box<dyn Error>> {
    let wanted = arguments.plan.as_deref().map(read).transpose()?;
    let runtime = Runtime::new()?;
    let differing = runtime.block_on(async {
        let ground = Arc::new(Ground::start().await);
        let workloads = workload::all().into_iter().filter(|workload| {
            let is_wanted = |plan: &Plan| plan.workload == workload.name;
            wanted.as_ref().is_none_or(is_wanted)
        });
        let references = workloads.map(|workload| {
            let ground = Arc::clone(&ground);
            tokio::spawn(async move { Reference::take(&ground, workload).await })
        });
        let mut all = Vec::new();
        for taking in references.collect::<Vec<_>>() {
            let reference = Arc::new(taking.await?.map_err(|problems| problems.join("\n"))?);
            let tier = if arguments.full { Tier::Full } else { Tier::Always };
            let campaign = Family::all().flat_map(|family| plans(&reference, family, tier));
            let chosen: Vec<Plan> = match &wanted {
                Some(plan) => vec![plan.clone()],
                None => campaign.filter(|plan| plan.to_string().contains(&arguments.only)).collect(),
            };
            all.extend(chosen.into_iter().map(|plan| (Arc::clone(&reference), plan)));
        }
        println!("{} plans", all.len());
        if arguments.minutes.is_some() {
            all.sort_by_cached_key(|(_, plan)| (!Family::TURMOIL.contains(&Family::of(plan)), drawn(plan)));
        }
        let mut sums = Sums::default();
        let (storms, calm) = apart(all);
        play(&ground, calm, None, arguments, &mut sums).await?;
        // Servers are away for everybody, so these come last, and those of a kind together.
        for (upset, plans) in storms {
            let storm = Arc::new(Storm::new(upset, plans.len()));
            play(&ground, plans, Some(storm), arguments, &mut sums).await?;
        }
        print!("{}", sums.report);
        Ok::<_, Box<dyn Error>>(sums.differing)
    })?;
    if differing == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: {differing} plans differ; they are in {}", arguments.folder.display());
    Ok(ExitCode::FAILURE)
}

fn read(plan: &str) -> Result<Plan, Box<dyn Error>> {
    if Path::new(plan).is_file() {
        return Ok(serde_saphyr::from_str(&std::fs::read_to_string(plan)?)?);
    }
    Ok(plan.parse()?)
}

/// A number that is another for each plan and the same each time.
fn drawn(plan: &Plan) -> u64 {
    let mut hasher = DefaultHasher::new();
    plan.to_string().hash(&mut hasher);
    hasher.finish()
}

/// What all plans came to.
#[derive(Default)]
struct Sums {
    report: Report,
    differing: usize,
}

type Plans = Vec<(Arc<Reference>, Plan)>;

/// Plans of servers that are away, by what happens to them; and all others.
fn apart(all: Plans) -> (BTreeMap<Upset, Plans>, Plans) {
    let (mut storms, mut calm) = (BTreeMap::<Upset, Plans>::new(), Plans::new());
    for (reference, plan) in all {
        match plan.fault {
            Fault::Servers(upset) => storms.entry(upset).or_default().push((reference, plan)),
            _ => calm.push((reference, plan)),
        }
    }
    (storms, calm)
}

/// Runs plans side by side, those of a storm all at once; prints what differs.
async fn play(
    ground: &Arc<Ground>,
    plans: Plans,
    storm: Option<Arc<Storm>>,
    arguments: &Faults,
    sums: &mut Sums,
) -> Result<(), Box<dyn Error>> {
    let lanes = if storm.is_some() { plans.len() } else { arguments.lanes };
    let running = plans.into_iter().map(|(reference, plan)| {
        let (ground, storm) = (Arc::clone(ground), storm.clone());
        let name = plan.to_string();
        async move {
            let run = tokio::spawn(async move {
                let record = together(&ground, &reference, &plan, storm.as_deref()).await;
                let findings = judge(&reference, &record);
                (Outcome::of(plan, &record, findings), record)
            });
            run.await.map_err(|error| format!("{name}: {error}"))
        }
    });
    let end =
        arguments.minutes.filter(|_| storm.is_none()).map(|minutes| Instant::now() + Duration::from_mins(minutes));
    let is_time = move |_: &_| ready(end.is_none_or(|end| Instant::now() < end));
    let mut running = pin!(stream::iter(running).take_while(is_time).buffer_unordered(lanes));
    while let Some(done) = running.next().await {
        let (outcome, record) = match done {
            Ok(done) => done,
            Err(broken) => {
                println!("{broken}");
                sums.differing += 1;
                continue;
            }
        };
        sums.report.add(&outcome);
        if outcome.findings.is_empty() && arguments.plan.is_none() {
            continue;
        }
        println!("{} (struck: {}, longest step {:?})", outcome.plan, outcome.is_struck, outcome.took);
        for finding in &outcome.findings {
            println!("  {finding}");
        }
        if outcome.findings.is_empty() {
            println!("  as undisturbed");
            continue;
        }
        sums.differing += 1;
        std::fs::create_dir_all(&arguments.folder)?;
        let file = arguments.folder.join(format!("{}.yaml", outcome.plan.to_string().replace('/', "_")));
        std::fs::write(&file, serde_saphyr::to_string(&outcome.plan)?)?;
        std::fs::write(file.with_extension("log"), &record.log)?;
    }
    Ok(())
}
