//! `init`: asks in a terminal for the required settings, tests them against the store, and writes them to a file that
//! only its owner can read. All text goes to stderr; stdout stays empty.

use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::check::{Refusal, Suspect, try_all};
use super::{CommandResult, client};
use crate::airbyte::Emitter;
use crate::config::{Config, instant};
use crate::connector::{Connector, Question, SignIn};
use crate::deletion_options::{ALL, DETECT};
use crate::files::{self, UnwritableFile};
use crate::http::RetryPolicy;
use crate::output::stdout::Terminals;
use crate::shutdown;
use crate::user_error::UserError;

/// Asks for the settings, tests them and writes the file. Fails silently if the user cancels it.
pub(crate) async fn run(
    path: &Path,
    terminals: Terminals,
    connector: &'static Connector,
    emitter: &Emitter,
) -> CommandResult {
    if !terminals.stdin || !terminals.stderr {
        return Err(UserError::no_terminal(None, connector.executable).into());
    }
    let file = ConfigFile::new(path)?;
    match asked(&file, connector, &Prompter::new(), emitter).await {
        Ok(Some(config)) => {
            file.write(&config)?;
            let (name, executable) = (path.display(), connector.executable);
            // The file is written, even if stderr is closed.
            let _ignored = writeln!(
                io::stderr(),
                "Wrote {name}, which only you can read.\nNext: {executable} read --config {name} --streams orders > orders.jsonl"
            );
            Ok(true)
        }
        // Reading a hidden answer needs a terminal of the process, which can be missing although stdin is one.
        Err(error) if !is_end(&error) => Err(UserError::no_terminal(Some(&error), connector.executable).into()),
        Ok(None) | Err(_) => {
            let _ignored = writeln!(io::stderr(), "\nNothing was written.");
            Ok(false)
        }
    }
}

/// Returns true if the user ended the questions: with Ctrl-D, with Ctrl-C, or by closing the terminal.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, Interrupted, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | Interrupted | BrokenPipe)
}

/// Asks until the settings work or the user decides. Returns the config to write, if any.
async fn asked(
    file: &ConfigFile,
    connector: &'static Connector,
    prompter: &Prompter,
    emitter: &Emitter,
) -> io::Result<Option<Value>> {
    if file.existed && !prompter.agrees(&format!("{} exists. Replace it?", file.name))? {
        return Ok(None);
    }
    let mut config = json!({});
    // All settings at first, then those that may be wrong.
    let mut fields: &[&str] = &[];
    loop {
        let sign_in = answer(&mut config, fields, connector, prompter)?;
        let Some(refusal) = tried(&config, connector, prompter, emitter).await? else { return Ok(Some(config)) };
        prompter.say(&format!("{}\n", refusal.message))?;
        fields = suspected(sign_in, &refusal);
        match prompter.choice("Answer again (a), write the file anyway (w), or give up (g)?", &["a", "w", "g"])? {
            "a" => {}
            "w" => return Ok(Some(config)),
            _ => return Ok(None),
        }
    }
}

/// Returns the settings that may be wrong; none if that is not known.
fn suspected(sign_in: &SignIn, refusal: &Refusal) -> &'static [&'static str] {
    match refusal.suspect {
        Some(Suspect::SignIn) => sign_in.credentials,
        Some(Suspect::Host) => sign_in.address,
        None => &[],
    }
}

/// Asks for these settings, or for all if the list is empty. Previous answers are offered again, except secrets.
/// Returns the way to sign in.
fn answer(
    config: &mut Value,
    fields: &[&str],
    connector: &'static Connector,
    prompter: &Prompter,
) -> io::Result<&'static SignIn> {
    let start = &connector.interview.start;
    let sign_in = sign_in(config, fields, connector, prompter)?;
    let is_asked = |question: &&Question| fields.is_empty() || fields.contains(&question.field);
    for question in sign_in.questions.iter().chain([start]).filter(is_asked) {
        ask(config, question, connector, prompter)?;
    }
    if fields.is_empty() && connector.has_setting(DETECT) {
        let detects =
            prompter.agrees("Report rows that the store deletes (one more request for each stream and sync)?")?;
        if let Some(settings) = config.as_object_mut() {
            settings.remove(DETECT);
            settings.extend(detects.then(|| (DETECT.to_owned(), json!([ALL]))));
        }
    }
    // In the format of the specification.
    if let Some(date) = config[start.field].as_str().and_then(|typed| instant(typed.trim()).ok()) {
        config[start.field] = date.to_string().into();
    }
    Ok(sign_in)
}

/// Returns the way to sign in: the one that the user selects, or that of the config if only `fields` are requested.
fn sign_in(
    config: &mut Value,
    fields: &[&str],
    connector: &'static Connector,
    prompter: &Prompter,
) -> io::Result<&'static SignIn> {
    let interview = &connector.interview;
    let Some((question, other)) = &interview.other_sign_in else { return Ok(&interview.sign_in) };
    let is_other = if fields.is_empty() {
        prompter.say(question)?;
        prompter.choice("Sign-in?", &["1", "2"])? == "2"
    } else {
        other.auth_type.is_some_and(|kind| config["credentials"]["auth_type"] == kind)
    };
    let sign_in = if is_other { other } else { &interview.sign_in };
    if let Some(kind) = sign_in.auth_type.filter(|kind| config["credentials"]["auth_type"] != *kind) {
        config["credentials"] = json!({ "auth_type": kind });
    }
    Ok(sign_in)
}

/// Asks for one setting until it is valid.
fn ask(config: &mut Value, question: &Question, connector: &Connector, prompter: &Prompter) -> io::Result<()> {
    let pointer = format!("/{}", question.field.replace('.', "/"));
    let before = config.pointer(&pointer).and_then(Value::as_str).unwrap_or(question.usual).to_owned();
    loop {
        let given = match (question.hidden, question.keeps_spaces) {
            (true, true) => prompter.ask_hidden(question.text)?,
            (true, false) => prompter.ask_hidden(question.text)?.trim().to_owned(),
            (false, _) => prompter.ask(question.text, &before)?,
        };
        put(config, question.field, given);
        match fault(config, question.field, connector) {
            Some(fault) => prompter.say(&fault)?,
            None => return Ok(()),
        }
    }
}

fn put(config: &mut Value, field: &str, given: String) {
    match field.split_once('.') {
        Some((object, name)) => config[object][name] = given.into(),
        None => config[field] = given.into(),
    }
}

/// Returns the error of a setting, if it has one.
fn fault(config: &Value, field: &str, connector: &Connector) -> Option<String> {
    let faults = Config::parse(config.to_string().as_bytes(), connector.settings).err()?;
    faults.iter().find(|fault| fault.field == field).map(ToString::to_string)
}

/// Tests the settings. Returns why the store refuses them, if it does; missing permissions are only printed.
async fn tried(
    config: &Value,
    connector: &'static Connector,
    prompter: &Prompter,
    emitter: &Emitter,
) -> io::Result<Option<Refusal>> {
    let refusal = |user_error: UserError| Ok(Some(Refusal { message: user_error.message, suspect: None }));
    let parsed = match Config::parse(config.to_string().as_bytes(), connector.settings) {
        Ok(parsed) => parsed,
        Err(faults) => return refusal(UserError::config(&faults)),
    };
    emitter.hide(parsed.shop.store.secrets());
    let client = match client(&parsed, RetryPolicy::CHECK) {
        Ok(client) => client,
        Err(user_error) => return refusal(user_error),
    };
    prompter.say(&format!("Testing the connection to {} ...", client.requests().host()))?;
    match try_all(&*client, connector, emitter).await.map_err(|_| io::ErrorKind::BrokenPipe)? {
        Ok(None) => prompter.say("It works.")?,
        Ok(Some(note)) => prompter.say(&format!("It works, but: {}", emitter.masked(&note)))?,
        Err(refusal) => return Ok(Some(Refusal { message: emitter.masked(&refusal.message), ..refusal })),
    }
    Ok(None)
}

/// Asks questions in the terminal.
struct Prompter {
    /// True while a secret is typed: the terminal shows nothing then and must be restored first.
    is_secret_prompt: Arc<AtomicBool>,
}

impl Prompter {
    /// Returns a prompter. Ctrl-C ends the process, except while a secret is typed: the prompt for it restores the
    /// terminal and returns an error.
    fn new() -> Self {
        let is_secret_prompt = Arc::new(AtomicBool::new(false));
        let is_prompting = Arc::clone(&is_secret_prompt);
        shutdown::exit_on_ctrl_c(move || {
            let exits = !is_prompting.load(Ordering::SeqCst);
            if exits {
                let _ignored = writeln!(io::stderr(), "\nNothing was written.");
            }
            exits
        });
        Self { is_secret_prompt }
    }

    fn say(&self, text: &str) -> io::Result<()> {
        writeln!(io::stderr(), "{text}")
    }

    fn ask(&self, question: &str, usual: &str) -> io::Result<String> {
        let shown = if usual.is_empty() { String::new() } else { format!(" [{usual}]") };
        write!(io::stderr(), "{question}{shown}: ")?;
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim();
        Ok(if line.is_empty() { usual } else { line }.to_owned())
    }

    fn ask_hidden(&self, question: &str) -> io::Result<String> {
        write!(io::stderr(), "{question}: ")?;
        self.is_secret_prompt.store(true, Ordering::SeqCst);
        let given = rpassword::read_password();
        self.is_secret_prompt.store(false, Ordering::SeqCst);
        Ok(given?.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Asks for one of the choices; the first is the default.
    fn choice(&self, question: &str, choices: &[&'static str]) -> io::Result<&'static str> {
        loop {
            let given = self.ask(question, choices.first().copied().unwrap_or_default())?;
            match choices.iter().find(|choice| given.eq_ignore_ascii_case(choice)) {
                Some(choice) => return Ok(choice),
                None => self.say(&format!("Answer with {}.", choices.join(" or ")))?,
            }
        }
    }

    fn agrees(&self, question: &str) -> io::Result<bool> {
        let given = self.ask(&format!("{question} [y/N]"), "")?;
        Ok(given.eq_ignore_ascii_case("y") || given.eq_ignore_ascii_case("yes"))
    }
}

/// The file to write.
struct ConfigFile {
    file: files::WritableFile,
    name: String,
    existed: bool,
}

impl ConfigFile {
    /// Checks that the file can be written.
    fn new(path: &Path) -> Result<Self, UserError> {
        let name = path.display().to_string();
        // No secret is written to a device, and opening a pipe would wait for its reader.
        if path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Err(UserError::unwritable(&name, &UnwritableFile::NotRegular));
        }
        let file = files::check_writable(path).map_err(|reason| UserError::unwritable(&name, &reason))?;
        let existed = file.path().exists();
        Ok(Self { file, name, existed })
    }

    /// Writes the file in one step. A file that somebody created since the first question is not replaced.
    fn write(&self, config: &Value) -> Result<(), UserError> {
        let text = format!("{config:#}\n");
        let written = self.file.write_private(text.as_bytes(), self.existed);
        written.map_err(|reason| UserError::unwritable(&self.name, &reason))
    }
}
