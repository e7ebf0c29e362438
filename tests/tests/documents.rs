//! The documents hang together: every page is reached from the README, every link leads to a file and to a heading that are
//! there, and every command, option and setting of both programs has its place in one.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use clap::Args as _;
use tests::command::threatrelay;
use threatrelay_operator::settings::Settings;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every page of the repository that people read, by its path in it.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new(), "docs".into(), "docs/runbooks".into()];
    folders.extend(tests::chart::CHARTS.map(|chart| Path::new("charts").join(chart)));
    for folder in folders {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let name = folder.join(entry.unwrap().file_name());
            if name.extension().is_some_and(|kind| kind == "md") {
                let text = std::fs::read_to_string(root().join(&name)).unwrap();
                found.insert(name, text);
            }
        }
    }
    found
}

/// The lines of a page that are no code.
fn prose(page: &str) -> String {
    let mut is_code = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// Where the links of a page lead, as they are written.
fn links(page: &str) -> Vec<String> {
    let text = prose(page);
    let ends = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
    ends.filter(|link| !link.contains("://") && !link.starts_with("mailto:")).collect()
}

/// A path without `.` and `..`.
fn cleaned(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}

/// The file that a link of `page` leads to, and the heading in it.
fn target(page: &Path, link: &str) -> (PathBuf, Option<String>) {
    let (file, heading) =
        link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading.to_owned())));
    let folder = page.parent().unwrap();
    (if file.is_empty() { page.to_owned() } else { cleaned(&folder.join(file)) }, heading)
}

/// The anchors of a page's headings, as code hosts make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let text = prose(page);
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let letter = |character: char| match character {
        ' ' => Some('-'),
        '-' | '_' => Some(character),
        _ => character.is_alphanumeric().then_some(character),
    };
    headings.map(|heading| heading.to_lowercase().chars().filter_map(letter).collect()).collect()
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let pages = pages();
    let (mut reached, mut waiting) = (BTreeSet::new(), vec![PathBuf::from("README.md")]);
    while let Some(page) = waiting.pop() {
        let Some(text) = pages.get(&page) else { continue };
        if reached.insert(page.clone()) {
            waiting.extend(links(text).iter().map(|link| target(&page, link).0));
        }
    }
    let lost: Vec<_> = pages.keys().filter(|page| !reached.contains(*page)).collect();
    assert!(pages.len() > 30 && lost.is_empty(), "no link leads to {lost:?}");
}

#[test]
fn every_link_leads_to_something_that_is_there() {
    let pages = pages();
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for (page, text) in &pages {
        for link in links(text) {
            let (file, heading) = target(page, &link);
            let is_there = match (&heading, pages.get(&file)) {
                (Some(heading), Some(text)) => anchors(text).contains(heading),
                (Some(_), None) => false,
                (None, _) => root().join(&file).exists(),
            };
            checked += 1;
            if !is_there {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(checked > 60 && wrong.is_empty(), "{checked} links, of which wrong: {wrong:#?}");
}

#[test]
fn a_link_to_nothing_is_noticed() {
    let page = Path::new("docs/runbooks/README.md");
    assert_eq!(target(page, "../api.md#a"), ("docs/api.md".into(), Some("a".to_owned())));
    assert_eq!(target(page, "#a").0, page);
    assert_eq!(links("[a](b.md) `x` ![c](d.png)\n```sh\n[no](link)\n```\n[e](https://f)"), ["b.md", "d.png"]);
    assert!(anchors("# From an `error` tile, to its cause\n").contains("from-an-error-tile-to-its-cause"));
}

#[tokio::test]
async fn every_command_of_the_relay_is_in_the_page_about_it() {
    let page = &pages()[Path::new("docs/cli.md")];
    let help = threatrelay(&["--help"]).run().await.ends_with(0).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let mut count = 0;
    for command in listed.filter_map(|line| line.split_whitespace().next()).filter(|command| *command != "help") {
        let is_named = page.contains(&format!("`{command}`")) || page.contains(&format!("`{command} "));
        assert!(is_named, "docs/cli.md says nothing of {command}");
        count += 1;
    }
    assert!(count > 10, "{count} commands");
}

#[test]
fn every_setting_of_the_operator_is_in_the_page_about_it() {
    let page = &pages()[Path::new("docs/operator.md")];
    let run = Settings::augment_args(clap::Command::new("run"));
    let options: Vec<_> = run.get_arguments().filter_map(clap::Arg::get_long).collect();
    for option in &options {
        assert!(page.contains(&format!("| `--{option}` |")), "docs/operator.md says nothing of --{option}");
    }
    assert!(options.len() > 10, "{options:?}");
}
