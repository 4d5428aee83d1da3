//! Starts a worker for each target, monitors it, and prints its results.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::Options;
use crate::memory::MAX_BYTES;
use crate::status::{Page, Status};
use crate::targets;
use crate::worker::{CURRENT, STATUS};

/// Maximum processor time, and maximum wall-clock time, of one input in seconds.
const MAX_SECONDS: f64 = 10.0;
const MAX_WAIT: f64 = 60.0;
/// Maximum number of dead workers per target. One fault then probably hides others.
const MAX_DEATHS: usize = 5;
/// Clock ticks per second in `/proc`, on every Linux.
const TICKS: f64 = 100.0;

/// The numbers of a target.
#[derive(Debug, Default)]
struct Tally {
    inputs: u64,
    findings: u64,
    corpus: u64,
    slowest: u64,
    most_bytes: u64,
}

/// Fuzzes the selected targets. Returns whether there were no findings.
pub(crate) fn run(options: &Options) -> io::Result<bool> {
    let chosen = |name: &str| options.targets.is_empty() || options.targets.iter().any(|target| target == name);
    let names: Vec<&str> = targets::all().map(|target| target.name).filter(|name| chosen(name)).collect();
    let seconds = options.seconds / names.len().max(1) as f64;
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let shared = base.join(format!("catalex-fuzz-{}", std::process::id()));
    println!(
        "{:<20} {:>10} {:>9} {:>8} {:>12} {:>12}",
        "target", "inputs", "findings", "new", "slowest", "most memory"
    );
    let mut found = 0;
    for name in names {
        let tally = attack(options, name, seconds, &shared);
        let _ = fs::remove_dir_all(&shared);
        let Tally { inputs, findings, corpus, slowest, most_bytes } = tally?;
        let (slowest, most) = (slowest as f64 / 1e6, most_bytes as f64 / 1e6);
        println!("{name:<20} {inputs:>10} {findings:>9} {corpus:>8} {slowest:>10.2} s {most:>9.1} MB");
        found += findings;
    }
    let findings = options.state.join("findings");
    println!("{found} findings{}", if found > 0 { format!(", in {}", findings.display()) } else { String::new() });
    Ok(found == 0)
}

fn attack(options: &Options, name: &str, seconds: f64, shared: &Path) -> io::Result<Tally> {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut tally = Tally::default();
    for start in 0..=MAX_DEATHS {
        let left = until.saturating_duration_since(Instant::now());
        if start > 0 && left.is_zero() {
            break;
        }
        fs::create_dir_all(shared)?;
        let page = Page::create(&shared.join(STATUS))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--worker").arg(shared).args(["--seed", &(options.seed + 1000 * start as u64).to_string()]);
        command.args(["--seconds", &left.as_secs_f64().to_string()]).arg("--state").arg(&options.state);
        if options.seeds {
            command.args(["--seeds", name]);
        } else if options.replay.is_empty() {
            command.arg(name);
        } else {
            command.args(["--replay", name]).args(&options.replay);
        }
        let mut worker = command.env("RAYON_NUM_THREADS", "1").env("OMP_NUM_THREADS", "1").spawn()?;
        let outcome = watch(&mut worker, page.status());
        let status = page.status();
        tally.inputs += status.ended.load(Relaxed);
        tally.findings += status.panics.load(Relaxed);
        tally.corpus += status.corpus.load(Relaxed);
        tally.slowest = tally.slowest.max(status.slowest.load(Relaxed));
        tally.most_bytes = tally.most_bytes.max(status.most_bytes.load(Relaxed));
        let Some(reason) = outcome? else { break };
        tally.findings += 1;
        keep(options, name, &reason, &shared.join(CURRENT))?;
        if options.seeds || !options.replay.is_empty() {
            break;
        }
    }
    Ok(tally)
}

/// Waits for a worker. Returns the reason if it died.
fn watch(worker: &mut Child, status: &Status) -> io::Result<Option<String>> {
    let process = PathBuf::from(format!("/proc/{}", worker.id()));
    let (mut input, mut began, mut ticks, mut resident) = (0, Instant::now(), 0.0, None);
    loop {
        if let Some(code) = worker.try_wait()? {
            let memory = status.memory.load(Relaxed) > 0;
            return Ok(match code.signal() {
                _ if memory => Some(format!("more than {MAX_BYTES} bytes")),
                Some(signal) => Some(format!("killed by signal {signal}")),
                None if code.success() => None,
                None => Some(code.to_string()),
            });
        }
        let now = status.started.load(Relaxed);
        let used = seconds_of(&process).unwrap_or(ticks);
        let held = resident_bytes(&process).unwrap_or_default();
        if now != input || now == status.ended.load(Relaxed) {
            (input, began, ticks, resident) = (now, Instant::now(), used, Some(held));
        }
        let reason = if used - ticks > MAX_SECONDS || began.elapsed().as_secs_f64() > MAX_WAIT {
            Some(format!("more than {MAX_SECONDS} seconds"))
        } else if now > 0 && resident.is_some_and(|before| held > before + MAX_BYTES) {
            Some(format!("more than {MAX_BYTES} bytes, including memory of C libraries"))
        } else {
            None
        };
        if reason.is_some() {
            worker.kill()?;
            worker.wait()?;
            return Ok(reason);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Stores the input that killed a worker.
fn keep(options: &Options, name: &str, reason: &str, input: &Path) -> io::Result<()> {
    let folder = options.state.join("findings");
    fs::create_dir_all(&folder)?;
    let bytes = fs::read(input).unwrap_or_default();
    let kind = match reason.split(' ').nth(3) {
        Some("seconds") => "slow",
        _ if reason.contains("bytes") => "memory",
        _ => "died",
    };
    let file = format!("{name}-{kind}-{}", &catalex::artifact::sha256(&bytes)[..8]);
    let path = folder.join(&file);
    fs::write(&path, bytes)?;
    fs::write(folder.join(file + ".txt"), format!("{reason}\n"))?;
    eprintln!("{name}: {reason}: {}", path.display());
    Ok(())
}

/// Processor time of a process.
fn seconds_of(process: &Path) -> Option<f64> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

fn resident_bytes(process: &Path) -> Option<usize> {
    let statm = fs::read_to_string(process.join("statm")).ok()?;
    Some(statm.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}
