//! Runs every command line that the README and the docs show.
//!
//! A block marked `sh` is run as one script, `cron` line by line without its times, and of `systemd` the started
//! command, all blocks of a page in order and in one folder. `text` marks output. Lines with `cargo`, `docker` and
//! `podman` belong to the gate and are skipped.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cases::usage::type_in;
use crate::fake_store::{Data, Options};
use crate::harness::files::{ROUTER_SECRET, TOKEN};
use crate::harness::setup::{SignIn, config, start};

/// Pages whose commands need more than the connector; these scripts of the gate run them.
const RUN_ELSEWHERE: &[(&str, &str)] =
    &[("docs/clients.md", ".ci/clients"), ("docs/quickstart.md", "integration_tests/clients/check_quickstart.py")];

/// Returns the blocks of commands of a page, each with its mark.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(mark)) => open = Some((mark.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks.retain(|(mark, _)| ["sh", "cron", "systemd"].contains(&mark.as_str()));
    blocks
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

fn is_of_the_gate(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    ["cargo", "docker", "podman"].contains(&first)
}

/// Runs the commands of a page in a folder. Returns the number of its blocks.
fn run(page: &Path, folder: &Path) -> usize {
    let text = fs::read_to_string(page).unwrap();
    let name = page.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
    let blocks = blocks(&text);
    if blocks.is_empty() || RUN_ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == name) {
        return 0;
    }
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let router = start(SignIn::Router, Options::default(), Data::sample(1, 3));
    let cs_cart = fake_cs_cart::FakeCsCart::sample(Default::default(), &fake_cs_cart::Sample::new(1, 20));
    let here = folder.display().to_string();
    // Files of the demo, for pages that continue from it.
    fs::create_dir(folder.join("demo-out")).unwrap();
    for file in ["config.json", "demo-out/config.json"] {
        fs::write(folder.join(file), config(SignIn::Token, &store).to_string()).unwrap();
    }
    // Files of an earlier read.
    let state = r#"[{"type":"STREAM","stream":{"stream_descriptor":{"name":"orders"},"stream_state":{"updated_at":"2021-01-01T00:00:00Z"}}}]"#;
    fs::write(folder.join("state.json"), state).unwrap();
    let catalog = type_in(folder, "source-cart catalog --streams orders,stores", &[]);
    fs::write(folder.join("demo-out/configured_catalog.json"), catalog.stdout).unwrap();
    let variables = [
        ("CART_TOKEN", TOKEN),
        ("CART_TOKEN_NORTH", TOKEN),
        ("CART_TOKEN_SOUTH", TOKEN),
        ("CART_SECRET", ROUTER_SECRET),
        ("CS_CART_KEY", fake_cs_cart::KEY),
    ];
    let site = format!("\"site_id\": \"12345\"\n  }},\n  \"_router_url\": \"{}\",", router.router_base());
    for (mark, text) in &blocks {
        let text = text
            .replace("mystore.americommerce.com", &store.url())
            .replace("https://shop.example.com", &cs_cart.url())
            .replace("\"site_id\": \"12345\"\n  },", &site)
            .replace("/srv/cart", &here)
            .replace("target/release/source-cart", "source-cart")
            .replace("/usr/local/bin/source-cart", "source-cart");
        let mut lines: Vec<String> = text.lines().filter(|line| !is_of_the_gate(line)).map(str::to_owned).collect();
        if mark == "cron" {
            lines = lines.iter().map(|line| line.splitn(6, ' ').last().unwrap().to_owned()).collect();
        } else if mark == "systemd" {
            lines = lines.iter().filter_map(|line| line.strip_prefix("ExecStart=")).map(str::to_owned).collect();
            assert_eq!(lines.len(), 1, "{name}");
        } else {
            lines = vec![lines.join("\n")];
        }
        for line in lines {
            let output = type_in(folder, &line, &variables);
            let (out, reported) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(0), "{name}: {line}\n{out}\n{reported}");
            assert!(!out.contains("\"FAILED\""), "{name}: {line}\n{out}");
            // With protocol messages on stdout, the terminal stays empty.
            assert!(name != "README.md" || reported.is_empty(), "{name}: {line}\n{reported}");
        }
    }
    blocks.len()
}

#[test]
fn every_command_line_of_the_pages_works() {
    let mut run_blocks = 0;
    for page in pages() {
        let folder = tempfile::tempdir().unwrap();
        run_blocks += run(&page, folder.path());
        if page.ends_with("README.md") && page.parent() == Some(Path::new(env!("CARGO_MANIFEST_DIR"))) {
            let text = fs::read_to_string(&page).unwrap();
            let (_, section) = text.split_once("\n## Command line\n").unwrap();
            let section = section.split("\n## ").next().unwrap();
            let by_hand =
                blocks(section).iter().flat_map(|(_, text)| text.lines()).filter(|line| !is_of_the_gate(line)).count();
            assert!(by_hand >= 6, "{by_hand}");
            // The first sync reads the store, the second finds nothing new.
            let brought =
                |name: &str| fs::read_to_string(folder.path().join(name)).unwrap().contains(r#""type":"RECORD""#);
            assert_eq!((brought("first.jsonl"), brought("second.jsonl")), (true, false));
        }
    }
    assert!(run_blocks >= 10, "{run_blocks}");
    for (page, script) in RUN_ELSEWHERE {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let script = fs::read_to_string(root.join(script)).unwrap();
        assert!(script.contains(page), "{page} is not run by it");
    }
}
