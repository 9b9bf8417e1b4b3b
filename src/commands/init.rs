//! `init`: asks on a terminal for what a config needs, tries it against the store, and writes it to a
//! file that only its owner can read. Everything it says goes to stderr; stdout stays empty.

use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::airbyte::Emitter;
use crate::cart::RetryPolicy;
use crate::commands::{Refusal, Suspect};
use crate::config::{Config, ROUTER_TYPE, TOKEN_TYPE, instant};
use crate::user_error::UserError;
use crate::{Terminals, commands, files};

/// How it ended, if nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InitOutcome {
    /// The file is there.
    Written,
    /// It was not wanted: by an answer, by Ctrl-C or by Ctrl-D.
    Cancelled,
}

/// One value of the config that is asked for.
struct Question {
    /// Path of the field, by which `config` tells its faults.
    field: &'static str,
    text: &'static str,
    /// What an empty answer means at first; later it is the answer before.
    usual: &'static str,
    hidden: bool,
}

const fn asks(field: &'static str, text: &'static str) -> Question {
    Question { field, text, usual: "", hidden: false }
}

/// What a token needs.
const TOKEN: &[Question] = &[
    asks("credentials.store_name", "Store host name, for example mystore.americommerce.com"),
    Question { hidden: true, ..asks("credentials.access_token", "Access token (not shown)") },
];

/// What the router needs.
const ROUTER: &[Question] = &[
    asks("credentials.user_name", "User name from Cart.com support"),
    Question { hidden: true, ..asks("credentials.user_secret", "User secret (not shown)") },
    asks("credentials.site_id", "Site ID, the number after PSID on https://{your store}/store/sitemonitor.aspx"),
];

/// Long before the first store of this platform: everything there is.
const START: Question = Question {
    usual: "2000-01-01T00:00:00Z",
    ..asks("start_date", "Start date: only rows updated on or after it are read")
};

/// Asks, tries and writes.
///
/// # Errors
/// [`UserError`] if there is no terminal or the file cannot be written.
pub(crate) async fn run(path: &Path, terminals: Terminals, emitter: &Emitter) -> Result<InitOutcome, UserError> {
    if !terminals.stdin || !terminals.stderr {
        return Err(UserError::no_terminal(None));
    }
    let file = ConfigFile::new(path)?;
    match asked(&file, &Prompter::new(), emitter).await {
        Ok(Some(config)) => {
            file.write(&config)?;
            let name = path.display();
            // The file is there, whether or not anybody can still be told.
            let _ignored = writeln!(
                io::stderr(),
                "Wrote {name}, which only you can read.\nNext: source-cart read --config {name} --streams orders > orders.jsonl"
            );
            Ok(InitOutcome::Written)
        }
        // No terminal to type a secret on, though there seemed to be one.
        Err(error) if !is_end(&error) => Err(UserError::no_terminal(Some(&error))),
        Ok(None) | Err(_) => {
            let _ignored = writeln!(io::stderr(), "\nNothing was written.");
            Ok(InitOutcome::Cancelled)
        }
    }
}

/// Whether somebody ended the questions: Ctrl-D, Ctrl-C, a terminal that was closed.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, Interrupted, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | Interrupted | BrokenPipe)
}

/// A config that is to be written, if one is.
async fn asked(file: &ConfigFile, prompter: &Prompter, emitter: &Emitter) -> io::Result<Option<Value>> {
    if file.existed && !prompter.agrees(&format!("{} exists. Replace it?", file.name))? {
        return Ok(None);
    }
    let mut config = json!({});
    // Every field at first, and then those that may be wrong.
    let mut fields: &[&str] = &[];
    loop {
        answer(&mut config, fields, prompter)?;
        let Some(refusal) = tried(&config, prompter, emitter).await? else { return Ok(Some(config)) };
        prompter.say(&format!("{}\n", refusal.message))?;
        fields = suspected(&config, &refusal);
        match prompter.choice("Answer again (a), write the file anyway (w), or give up (g)?", &["a", "w", "g"])? {
            "a" => {}
            "w" => return Ok(Some(config)),
            _ => return Ok(None),
        }
    }
}

/// Returns the fields of the answers that may be wrong; none if nothing is known of that.
fn suspected(config: &Value, refusal: &Refusal) -> &'static [&'static str] {
    match (refusal.suspect, config["credentials"]["auth_type"] == TOKEN_TYPE) {
        (Some(Suspect::SignIn), true) => &["credentials.access_token"],
        (Some(Suspect::SignIn), false) => &["credentials.user_name", "credentials.user_secret", "credentials.site_id"],
        (Some(Suspect::Host), true) => &["credentials.store_name"],
        (Some(Suspect::Host), false) | (None, _) => &[],
    }
}

/// Asks for the values of these fields, or for every value if none is named. The answers before are offered again,
/// but for those that are hidden.
fn answer(config: &mut Value, fields: &[&str], prompter: &Prompter) -> io::Result<()> {
    let is_router = if fields.is_empty() {
        prompter.say("How do you sign in: with a token of one store (1), or through the Central API Router (2)?")?;
        prompter.choice("Sign-in?", &["1", "2"])? == "2"
    } else {
        config["credentials"]["auth_type"] == ROUTER_TYPE
    };
    let (kind, questions) = if is_router { (ROUTER_TYPE, ROUTER) } else { (TOKEN_TYPE, TOKEN) };
    if config["credentials"]["auth_type"] != kind {
        config["credentials"] = json!({ "auth_type": kind });
    }
    let is_asked = |question: &&Question| fields.is_empty() || fields.contains(&question.field);
    for question in questions.iter().chain([&START]).filter(is_asked) {
        let pointer = format!("/{}", question.field.replace('.', "/"));
        let before = config.pointer(&pointer).and_then(Value::as_str).unwrap_or(question.usual).to_owned();
        loop {
            let given = match question.hidden {
                // Each character of a key counts.
                true if question.field.ends_with("user_secret") => prompter.ask_hidden(question.text)?,
                true => prompter.ask_hidden(question.text)?.trim().to_owned(),
                false => prompter.ask(question.text, &before)?,
            };
            put(config, question.field, given);
            let Some(fault) = fault(config, question.field) else { break };
            prompter.say(&fault)?;
        }
    }
    // In the form that the specification has for it, whatever was typed.
    if let Some(start) = config[START.field].as_str().and_then(|typed| instant(typed.trim()).ok()) {
        config[START.field] = start.to_string().into();
    }
    Ok(())
}

fn put(config: &mut Value, field: &str, given: String) {
    match field.split_once('.') {
        Some((object, name)) => config[object][name] = given.into(),
        None => config[field] = given.into(),
    }
}

/// What `config` has to say of this one field.
fn fault(config: &Value, field: &str) -> Option<String> {
    let faults = Config::parse(config.to_string().as_bytes()).err()?;
    faults.iter().find(|fault| fault.field == field).map(ToString::to_string)
}

/// Why the store refuses the config, if it does. A note on missing scopes is told, and is no refusal.
async fn tried(config: &Value, prompter: &Prompter, emitter: &Emitter) -> io::Result<Option<Refusal>> {
    let refusal = |user_error: UserError| Ok(Some(Refusal { message: user_error.message, suspect: None }));
    let parsed = match Config::parse(config.to_string().as_bytes()) {
        Ok(parsed) => parsed,
        Err(faults) => return refusal(UserError::config(&faults)),
    };
    let emitter = emitter.clone().with_secrets(parsed.secrets());
    let client = match commands::client(&parsed, RetryPolicy::CHECK) {
        Ok(client) => client,
        Err(user_error) => return refusal(user_error),
    };
    prompter.say(&format!("Testing the connection to {} ...", client.host()))?;
    match commands::try_scopes(&client, &emitter).await.map_err(|_| io::ErrorKind::BrokenPipe)? {
        Ok(None) => prompter.say("It works.")?,
        Ok(Some(note)) => prompter.say(&format!("It works, but: {}", emitter.masked(&note)))?,
        Err(refusal) => return Ok(Some(Refusal { message: emitter.masked(&refusal.message), ..refusal })),
    }
    Ok(None)
}

/// Where questions are put and answers come from.
struct Prompter {
    /// Whether a secret is being typed: the terminal shows nothing then, and must be set right first.
    is_secret_prompt: Arc<AtomicBool>,
}

impl Prompter {
    /// Ctrl-C ends the process here as it would without us, but never leaves a terminal that shows nothing.
    fn new() -> Self {
        let is_secret_prompt = Arc::new(AtomicBool::new(false));
        let is_prompting = Arc::clone(&is_secret_prompt);
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if !is_prompting.load(Ordering::SeqCst) {
                    let _ignored = writeln!(io::stderr(), "\nNothing was written.");
                    std::process::exit(i32::from(crate::FAILURE));
                }
            }
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
        // What a secret begins or ends with may be part of it.
        Ok(given?.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// One of the choices, of which the first is the usual one.
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
    /// # Errors
    /// [`UserError`] if the path does not name a file that can be written.
    fn new(path: &Path) -> Result<Self, UserError> {
        let name = path.display().to_string();
        let user_error = |problem: &str| UserError::unwritable(&name, problem);
        // A secret goes to no device, and opening a pipe would wait for its other side.
        if path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Err(user_error("it is not a regular file"));
        }
        let file = files::check_writable(path).map_err(|clause| user_error(&clause))?;
        let existed = file.path().exists();
        Ok(Self { file, name, existed })
    }

    /// Writes the file whole or not at all. A file that was not there when the questions began is not
    /// replaced if somebody has made one since.
    ///
    /// # Errors
    /// [`UserError`]
    fn write(&self, config: &Value) -> Result<(), UserError> {
        let text = format!("{config:#}\n");
        self.file.write_private(text.as_bytes(), self.existed).map_err(|error| {
            let problem = match error.kind() {
                io::ErrorKind::AlreadyExists => "it was created in the meantime".to_owned(),
                _ => error.to_string(),
            };
            UserError::unwritable(&self.name, &problem)
        })
    }
}
