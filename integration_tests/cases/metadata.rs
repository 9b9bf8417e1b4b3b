//! The metadata for registries and platforms agrees everywhere: `metadata.yaml`, the Dockerfile,
//! the icon, and the platform's page. `UPDATE_DOCS=1 cargo test docs` writes the generated parts again.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::cases::docs::{hold, path};
use crate::harness::command::Command;
use crate::harness::files::discovered;

const PAGE: &str = "docs/integrations/sources/cart.md";

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

/// Returns a value of `metadata.yaml`'s `data`: a line with two spaces, the key and the value.
fn metadata(key: &str) -> String {
    let text = text("metadata.yaml");
    let line = text.lines().find_map(|line| line.strip_prefix("  ")?.strip_prefix(key)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("metadata.yaml has no {key}")).to_owned()
}

/// Returns the items of the list below a line of `metadata.yaml`.
fn metadata_list(above: &str) -> Vec<String> {
    let text = text("metadata.yaml");
    let lines = text.lines().skip_while(|line| *line != above).skip(1);
    lines.map_while(|line| line.trim_start().strip_prefix("- ").map(str::to_owned)).collect()
}

/// Returns versions and dates of `CHANGELOG.md`, the newest first.
fn releases() -> Vec<(String, String)> {
    text("CHANGELOG.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## [")?.split_once("] - "))
        .map(|(version, date)| (version.to_owned(), date.to_owned()))
        .collect()
}

#[test]
fn the_version_is_the_same_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(metadata("dockerImageTag"), version);
    assert_eq!(releases()[0].0, version, "CHANGELOG.md");
    let dockerfile = text("Dockerfile");
    assert!(dockerfile.contains(&format!("io.airbyte.version={version}\n")), "the Dockerfile's label");
    assert!(dockerfile.contains("io.airbyte.name=$SOURCE "), "its name");
    assert!(dockerfile.contains(&format!("ARG SOURCE={}\n", metadata("dockerRepository"))), "the usual one");
    let image = format!("{}:{version}", metadata("dockerRepository"));
    assert!(text(PAGE).matches(&image).count() == 2 && text(PAGE).contains(&format!("`{version}`")), "{PAGE}");
    let cs_cart = text("connectors/cs-cart/metadata.yaml");
    assert!(cs_cart.contains(&format!("dockerImageTag: {version}\n")), "connectors/cs-cart/metadata.yaml");
    let images = text("docs/integrations/sources/cs-cart.md").matches(&format!("source-cs-cart:{version}")).count();
    assert_eq!(images, 2, "docs/integrations/sources/cs-cart.md");
}

#[test]
fn the_wheel_says_what_cargo_says() {
    let text = text("pyproject.toml");
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        line.unwrap_or_else(|| panic!("pyproject.toml has no {key}")).trim_matches('"').to_owned()
    };
    assert_eq!(value("name"), env!("CARGO_PKG_NAME"));
    assert_eq!(value("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(value("description"), env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!(value("license"), env!("CARGO_PKG_LICENSE"));
    assert_eq!(value("readme"), "README.md");
    assert_eq!(value("bindings"), "bin");
    let address = env!("CARGO_PKG_REPOSITORY");
    assert_eq!(text.contains("\n[project.urls]\n"), !address.is_empty(), "the public address");
    assert!(text.contains(address));
}

#[test]
fn the_readme_can_be_read_in_one_go() {
    let lines = text("README.md").lines().count();
    assert!(lines <= 100, "README.md has {lines} lines, and may have 100");
}

#[test]
fn the_dockerfile_has_the_labels_and_paths_that_the_platform_reads() {
    let dockerfile = text("Dockerfile");
    let entrypoint = "/usr/local/bin/connector";
    assert!(dockerfile.contains(&format!("AIRBYTE_ENTRYPOINT={entrypoint}\n")));
    assert!(dockerfile.contains(&format!("ENTRYPOINT [\"{entrypoint}\"]\n")));
    assert!(dockerfile.contains("\nUSER 1000:1000\n"));
    for line in dockerfile.lines().filter(|line| !line.trim_start().starts_with('#')) {
        for word in ["x86_64", "amd64", "aarch64", "arm64", "--platform"] {
            assert!(!line.contains(word), "the Dockerfile knows nothing of processors: {line}");
        }
    }
    // The base image must have the Rust version that the package requires.
    let image = dockerfile.lines().find_map(|line| line.strip_prefix("FROM docker.io/library/rust:1.")).unwrap();
    let minor: u32 = image.split('-').next().unwrap().parse().unwrap();
    let needed: u32 = env!("CARGO_PKG_RUST_VERSION").split('.').nth(1).unwrap().parse().unwrap();
    assert!(minor >= needed, "rust:1.{minor} is older than rust-version");
}

#[test]
fn the_metadata_names_existing_files_and_streams() {
    assert_eq!(metadata("license"), env!("CARGO_PKG_LICENSE"));
    assert!(metadata("definitionId") != "bb1a6d31-6879-4819-a2bd-3eed299ea8e2", "that is the Python connector's");
    let hosts = metadata_list("    hosts:");
    assert_eq!(hosts, ["${credentials.store_name}", "public.americommerce.com"]);
    assert!(text("src/cart/config.rs").contains("\"https://public.americommerce.com/api/v1/\""));
    let suggested = metadata_list("    streams:");
    let streams: BTreeSet<&str> =
        discovered()["streams"].as_array().unwrap().iter().map(|stream| stream["name"].as_str().unwrap()).collect();
    assert!(suggested.len() > 4 && suggested.iter().all(|name| streams.contains(name.as_str())), "{suggested:?}");
}

#[test]
fn the_project_has_one_address_or_none() {
    let run = Command::new("spec").run();
    let (named, of_metadata) = (&run.spec()["documentationUrl"], metadata("documentationUrl"));
    match env!("CARGO_PKG_REPOSITORY") {
        "" => {
            assert_eq!(*named, Value::Null);
            assert!(of_metadata.starts_with("https://developers.cart.com/"), "a registry requires one: {of_metadata}");
        }
        address => {
            assert!(address.starts_with("https://"));
            assert_eq!((named.as_str(), of_metadata.as_str()), (Some(address), address));
        }
    }
    for file in ["src/cart/spec.json", "metadata.yaml", PAGE, "README.md"] {
        assert!(
            !text(file).contains("integrations/sources/cart\n")
                && !text(file).contains("docs.airbyte.com/integrations/sources/cart"),
            "{file} names the Python connector's page"
        );
    }
}

#[test]
fn tables_of_settings_have_the_names_types_and_defaults_of_the_specification() {
    let run = Command::new("spec").run();
    let schema = &run.spec()["connectionSpecification"];
    let mut settings: Vec<(&String, &Value)> = schema["properties"].as_object().unwrap().iter().collect();
    settings.sort_by_key(|(_, field)| field["order"].as_u64());
    let mut tables = 0;
    for file in ["docs/reference/configuration.md", "README.md"] {
        let text = text(file);
        let mut lines = text.lines().skip_while(|line| !line.starts_with("| field | "));
        if lines.next().is_none() {
            continue;
        }
        tables += 1;
        let rows: Vec<Vec<&str>> = lines
            .skip(1)
            .map_while(|line| Some(line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect()))
            .collect();
        assert_eq!(rows.len(), settings.len(), "{file}");
        for (row, (name, field)) in rows.iter().zip(&settings) {
            let place = format!("{file}: {name}");
            assert_eq!(row[0], format!("`{name}`"), "{place}");
            let is_required = schema["required"].as_array().unwrap().iter().any(|required| required == *name);
            let default = field.get("default").map(|default| format!("no, {default}"));
            assert_eq!(
                row[1],
                if is_required { "yes".to_owned() } else { default.unwrap_or("no".to_owned()) },
                "{place}"
            );
            let example = row[2].trim_matches('`');
            let example: Value = serde_json::from_str(example).unwrap_or_else(|_| example.into());
            let is_of_type = match field["type"].as_str().unwrap() {
                "string" => example.is_string(),
                "integer" => example.is_u64(),
                "boolean" => example.is_boolean(),
                "array" => example.is_array(),
                // Described below the table.
                _ => example == "see below",
            };
            assert!(is_of_type, "{place}: {example}");
            if let (Some(least), Some(most)) = (field["minimum"].as_u64(), field["maximum"].as_u64()) {
                assert!(row[3].contains(&format!("{least} to {most}")), "{place}");
            }
        }
    }
    assert!(tables > 0);
}

#[test]
fn the_form_has_titles_groups_and_examples() {
    fn check(name: &str, field: &Value) {
        for key in ["title", "description"] {
            assert!(field[key].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {key}");
        }
        if field.get("pattern").is_some() {
            assert!(field["pattern_descriptor"].is_string() && field["examples"].is_array(), "{name}");
        }
        let is_secret = field.get("airbyte_secret").is_some();
        if field["type"] == "string" && !is_secret {
            assert!(field["examples"].is_array(), "{name} has no example");
        }
        // Words only developers use.
        let text = format!("{} {}", field["title"], field["description"]).to_lowercase();
        for word in ["side by side", "undated", "in flight", "up to, not including", "schema", "cursor"] {
            assert!(!text.contains(word), "{name}: {word}");
        }
    }
    let run = Command::new("spec").run();
    let schema = &run.spec()["connectionSpecification"];
    let groups: Vec<&Value> = schema["groups"].as_array().unwrap().iter().map(|group| &group["id"]).collect();
    for (name, field) in schema["properties"].as_object().unwrap() {
        check(name, field);
        assert!(groups.contains(&&field["group"]), "{name} is in no group");
        for variant in field["oneOf"].as_array().into_iter().flatten() {
            for (name, field) in variant["properties"].as_object().unwrap() {
                if name != "auth_type" {
                    check(name, field);
                }
            }
        }
    }
    assert_eq!(schema["properties"]["max_requests_in_flight"]["title"], "Maximum concurrent requests");
}

#[test]
fn the_icon_is_a_square_and_original() {
    assert_eq!(metadata("icon"), "icon.svg");
    let icon = text("icon.svg");
    assert!(icon.starts_with("<svg ") && icon.contains(r#" width="250" height="250" viewBox="0 0 250 250""#));
    assert!(icon.len() < 10_000 && !icon.contains("<script") && !icon.contains("href"), "a drawing and nothing else");
}

/// Returns the page with its generated parts made again.
fn page() -> String {
    let mut page = text(PAGE);
    for (heading, next, body) in [
        ("### Fields\n", "\n## Supported sync modes\n", fields()),
        ("## Supported Streams\n", "\n### Performance considerations\n", streams()),
        ("| :--- | :--- | :--- | :--- |\n", "\n</details>\n", changelog()),
    ] {
        let begin = page.rfind(heading).unwrap_or_else(|| panic!("{PAGE} has no {heading}")) + heading.len();
        let end = begin + page[begin..].find(next).unwrap_or_else(|| panic!("{PAGE} has no {next}"));
        page.replace_range(begin..end, &body);
    }
    page
}

/// Returns a line for each field of the configuration; those of a sign-in are indented.
fn fields() -> String {
    fn list(schema: &Value, indent: &str, out: &mut String) {
        let required: Vec<&Value> = schema["required"].as_array().into_iter().flatten().collect();
        let mut fields: Vec<(&String, &Value)> = schema["properties"].as_object().unwrap().iter().collect();
        fields.sort_by_key(|(_, field)| field["order"].as_i64());
        for (name, field) in fields {
            if field.get("const").is_some() {
                continue;
            }
            let optional = if required.contains(&&Value::from(name.as_str())) { "" } else { " (optional)" };
            let usual = field.get("default").map_or_else(String::new, |value| format!(" Usually {value}."));
            let (title, description) = (field["title"].as_str().unwrap(), field["description"].as_str().unwrap());
            out.push_str(&format!("{indent}- **{title}**{optional}: {description}{usual}\n"));
            for variant in field["oneOf"].as_array().into_iter().flatten() {
                out.push_str(&format!("{indent}  - {}:\n", variant["title"].as_str().unwrap()));
                list(variant, &format!("{indent}    "), out);
            }
        }
    }
    let spec = Command::new("spec").run();
    let mut out = "\n".to_owned();
    list(&spec.spec()["connectionSpecification"], "", &mut out);
    // The site that shows the page reads braces as code.
    out.replace("{your store}", "`{your store}`")
        .replace("https://`{your store}`/store/sitemonitor.aspx", "`https://{your store}/store/sitemonitor.aspx`")
}

fn streams() -> String {
    let mut out =
        "\n| Stream | Sync modes | Primary key | Cursor | Scope of the token |\n| :--- | :--- | :--- | :--- | :--- |\n"
            .to_owned();
    for stream in source_cart::streams::STREAMS {
        let (modes, cursor) = if stream.has_updated_at {
            ("full refresh, incremental", source_cart::streams::CURSOR)
        } else {
            ("full refresh", "–")
        };
        out.push_str(&format!(
            "| {} | {modes} | {} | {cursor} | {} |\n",
            stream.name,
            stream.key(),
            stream.scope.name()
        ));
    }
    out
}

fn changelog() -> String {
    let mut out = String::new();
    for (version, date) in releases() {
        let subject = if version == "0.1.0" {
            "First version: one executable in place of the Python connector, and 70 streams instead of 7"
        } else {
            "See CHANGELOG.md"
        };
        out.push_str(&format!("| {version} | {date} | – | {subject} |\n"));
    }
    out
}

#[test]
fn docs_the_platforms_page_matches_the_spec_the_table_and_the_changelog() {
    hold(PAGE, &page());
}

/// Headings that Airbyte's documentation check requires, in order; true if the heading is mandatory.
const HEADINGS: [(&str, bool); 14] = [
    ("Cart.com", true),
    ("Prerequisites", true),
    ("Setup guide", true),
    ("Set up Cart.com", true),
    ("Set up the Cart.com connector in Airbyte", false),
    ("For Airbyte Cloud:", false),
    ("For Airbyte Open Source:", false),
    ("Supported sync modes", true),
    ("Supported Streams", true),
    ("Performance considerations", false),
    ("Data type map", false),
    ("Limitations & Troubleshooting", false),
    ("Tutorials", false),
    ("Changelog", true),
];

/// Returns the text between a heading and the next one.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("# {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    rest.split("\n#").next().unwrap()
}

#[test]
fn the_page_has_the_form_that_airbytes_check_requires() {
    let page = text(PAGE);
    assert_eq!(metadata("name"), HEADINGS[0].0);
    let found: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim_start()))
        .collect();
    let known: Vec<&str> =
        found.iter().copied().filter(|name| HEADINGS.iter().any(|(known, _)| known == name)).collect();
    let wanted: Vec<&str> =
        HEADINGS.iter().filter(|(name, must)| *must || known.contains(name)).map(|(name, _)| *name).collect();
    assert_eq!(known, wanted, "headings that are missing, doubled, or out of order");

    let name = metadata("name");
    let fixed = [
        (
            name.as_str(),
            "\n<HideInUI>\n\nThis page contains the setup guide and reference information for the [Cart.com](",
        ),
        (
            "For Airbyte Cloud:",
            "\n1. [Log into your Airbyte Cloud](https://cloud.airbyte.com/workspaces) account.\n2. Click Sources and then click \
             + New source.\n3. On the Set up the source page, select Cart.com from the Source type dropdown.\n4. Enter a \
             name for the Cart.com connector.\n",
        ),
        ("For Airbyte Open Source:", "\n1. Navigate to the Airbyte Open Source dashboard.\n"),
        (
            "Supported sync modes",
            "\nThe Cart.com source connector supports the following [sync modes](https://docs.airbyte.com/cloud/core-concepts/\
             #connection-sync-modes):\n",
        ),
        ("Changelog", "\n<details>\n  <summary>Expand to review</summary>\n"),
    ];
    for (heading, wanted) in fixed.into_iter().filter(|(heading, _)| known.contains(heading)) {
        let found = section(&page, heading);
        assert!(found.starts_with(wanted), "below {heading}:\n{found}\nis wanted:\n{wanted}");
    }

    // Its check of prerequisites: each required field by its title, and one word for the credentials.
    let prerequisites = section(&page, "Prerequisites").to_lowercase();
    let spec = Command::new("spec").run();
    let schema = &spec.spec()["connectionSpecification"];
    for field in schema["required"].as_array().unwrap() {
        let title = schema["properties"][field.as_str().unwrap()]["title"].as_str().unwrap().to_lowercase();
        let said =
            if field == "credentials" { prerequisites.contains("access") } else { prerequisites.contains(&title) };
        assert!(said, "Prerequisites do not name {title}");
    }
    // Each version has its line.
    assert!(section(&page, "Changelog").contains(&format!("| {} |", env!("CARGO_PKG_VERSION"))));
}
