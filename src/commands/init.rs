//! `init`: asks in a terminal for the required settings, tests them against the store, and writes them to a file that
//! only its owner can read. All text goes to stderr; stdout stays empty.

use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::check::{Refusal, Suspect, try_scopes};
use super::{CommandResult, client};
use crate::airbyte::Emitter;
use crate::config::{Config, ROUTER_TYPE, TOKEN_TYPE, instant};
use crate::deletion_options::{ALL, DETECT};
use crate::files::{self, UnwritableFile};
use crate::http::RetryPolicy;
use crate::output::stdout::Terminals;
use crate::shutdown;
use crate::sync::shop::Shop as _;
use crate::user_error::UserError;

/// A question for one setting.
struct Question {
    /// Path of the setting, as in the errors of `config`.
    field: &'static str,
    text: &'static str,
    /// The value of an empty answer at first; later it is the previous answer.
    usual: &'static str,
    hidden: bool,
}

const fn asks(field: &'static str, text: &'static str) -> Question {
    Question { field, text, usual: "", hidden: false }
}

/// The settings for a token.
const TOKEN: &[Question] = &[
    asks("credentials.store_name", "Store host name, for example mystore.americommerce.com"),
    Question { hidden: true, ..asks("credentials.access_token", "Access token (not shown)") },
];

/// The settings for the Central API Router.
const ROUTER: &[Question] = &[
    asks("credentials.user_name", "User name from Cart.com support"),
    Question { hidden: true, ..asks("credentials.user_secret", "User secret (not shown)") },
    asks("credentials.site_id", "Site ID, the number after PSID on https://{your store}/store/sitemonitor.aspx"),
];

/// The default is before the first store of this platform: all rows.
const START: Question = Question {
    usual: "2000-01-01T00:00:00Z",
    ..asks("start_date", "Start date: only rows updated on or after it are read")
};

/// Asks for the settings, tests them and writes the file. Fails silently if the user cancels it.
pub(crate) async fn run(path: &Path, terminals: Terminals, emitter: &Emitter) -> CommandResult {
    if !terminals.stdin || !terminals.stderr {
        return Err(UserError::no_terminal(None).into());
    }
    let file = ConfigFile::new(path)?;
    match asked(&file, &Prompter::new(), emitter).await {
        Ok(Some(config)) => {
            file.write(&config)?;
            let name = path.display();
            // The file is written, even if stderr is closed.
            let _ignored = writeln!(
                io::stderr(),
                "Wrote {name}, which only you can read.\nNext: source-cart read --config {name} --streams orders > orders.jsonl"
            );
            Ok(true)
        }
        // Reading a hidden answer needs a terminal of the process, which can be missing although stdin is one.
        Err(error) if !is_end(&error) => Err(UserError::no_terminal(Some(&error)).into()),
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
async fn asked(file: &ConfigFile, prompter: &Prompter, emitter: &Emitter) -> io::Result<Option<Value>> {
    if file.existed && !prompter.agrees(&format!("{} exists. Replace it?", file.name))? {
        return Ok(None);
    }
    let mut config = json!({});
    // All settings at first, then those that may be wrong.
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

/// Returns the settings that may be wrong; none if that is not known.
fn suspected(config: &Value, refusal: &Refusal) -> &'static [&'static str] {
    match (refusal.suspect, config["credentials"]["auth_type"] == TOKEN_TYPE) {
        (Some(Suspect::SignIn), true) => &["credentials.access_token"],
        (Some(Suspect::SignIn), false) => &["credentials.user_name", "credentials.user_secret", "credentials.site_id"],
        (Some(Suspect::Host), true) => &["credentials.store_name"],
        (Some(Suspect::Host), false) | (None, _) => &[],
    }
}

/// Asks for these settings, or for all if the list is empty. Previous answers are offered again, except secrets.
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
                // Spaces may be part of the secret.
                true if question.field.ends_with("user_secret") => prompter.ask_hidden(question.text)?,
                true => prompter.ask_hidden(question.text)?.trim().to_owned(),
                false => prompter.ask(question.text, &before)?,
            };
            put(config, question.field, given);
            let Some(fault) = fault(config, question.field) else { break };
            prompter.say(&fault)?;
        }
    }
    if fields.is_empty() {
        let detects =
            prompter.agrees("Report rows that the store deletes (one more request for each stream and sync)?")?;
        if let Some(settings) = config.as_object_mut() {
            settings.remove(DETECT);
            settings.extend(detects.then(|| (DETECT.to_owned(), json!([ALL]))));
        }
    }
    // In the format of the specification.
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

/// Returns the error of a setting, if it has one.
fn fault(config: &Value, field: &str) -> Option<String> {
    let faults = Config::parse(config.to_string().as_bytes()).err()?;
    faults.iter().find(|fault| fault.field == field).map(ToString::to_string)
}

/// Tests the settings. Returns why the store refuses them, if it does; missing scopes are only printed.
async fn tried(config: &Value, prompter: &Prompter, emitter: &Emitter) -> io::Result<Option<Refusal>> {
    let refusal = |user_error: UserError| Ok(Some(Refusal { message: user_error.message, suspect: None }));
    let parsed = match Config::parse(config.to_string().as_bytes()) {
        Ok(parsed) => parsed,
        Err(faults) => return refusal(UserError::config(&faults)),
    };
    emitter.hide(parsed.secrets());
    let client = match client(&parsed, RetryPolicy::CHECK) {
        Ok(client) => client,
        Err(user_error) => return refusal(user_error),
    };
    prompter.say(&format!("Testing the connection to {} ...", client.host()))?;
    match try_scopes(&client, emitter).await.map_err(|_| io::ErrorKind::BrokenPipe)? {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_required_setting_is_asked_and_no_other() {
        let spec: Value = serde_json::from_str(include_str!("../cart/spec.json")).unwrap();
        let schema = &spec["connectionSpecification"];
        for (variant, questions) in [(0, TOKEN), (1, ROUTER)] {
            let variant = &schema["properties"]["credentials"]["oneOf"][variant];
            let required = variant["required"].as_array().unwrap().iter().filter_map(Value::as_str);
            let mut required: Vec<String> = required.map(|name| format!("credentials.{name}")).collect();
            required.retain(|field| field != "credentials.auth_type");
            let mut asked: Vec<&str> = questions.iter().map(|question| question.field).collect();
            asked.sort_unstable();
            required.sort_unstable();
            assert_eq!(asked, required);
            for question in questions {
                let field = &variant["properties"][question.field.trim_start_matches("credentials.")];
                assert_eq!(question.hidden, field["airbyte_secret"] == true, "{}", question.field);
            }
        }
        assert_eq!(schema["required"], json!(["credentials", START.field]));
    }
}
