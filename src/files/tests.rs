//! Files that are written: links, pipes, sockets, leftovers and locks, each in a folder of its own.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;

use super::*;

fn pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn a_link_stays_one_and_what_it_names_is_replaced_with_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("real"), "old").unwrap();
    fs::set_permissions(at("real"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real", at("link")).unwrap();
    symlink("link", at("link to link")).unwrap();
    check_writable(&at("link to link")).unwrap().write_atomically(b"new").unwrap();
    assert_eq!(fs::read_to_string(at("real")).unwrap(), "new");
    assert_eq!(fs::metadata(at("real")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(at("link to link")).unwrap().is_symlink());

    symlink("absent", at("dangling")).unwrap();
    check_writable(&at("dangling")).unwrap().write_atomically(b"made").unwrap();
    assert_eq!(fs::read_to_string(at("absent")).unwrap(), "made");
    symlink("nowhere/absent", at("lost")).unwrap();
    assert!(matches!(check_writable(&at("lost")), Err(UnwritableFile::NoFolder(_))));
    symlink("loop", at("loop")).unwrap();
    assert!(check_writable(&at("loop")).is_err());
    assert_eq!(names(folder.path()), ["absent", "dangling", "link", "link to link", "loop", "lost", "real"]);
}

#[test]
fn a_pipe_is_written_to_and_stays_one_also_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("pipe"), folder.path().join("link"));
    pipe(&path);
    symlink(&path, &link).unwrap();
    for given in [&path, &link] {
        let reader = std::thread::spawn({
            let path = path.clone();
            move || fs::read_to_string(path).unwrap()
        });
        let target = check_writable(given).unwrap();
        target.write_atomically(b"one ").unwrap();
        target.write_atomically(b"two").unwrap();
        drop(target);
        assert_eq!(reader.join().unwrap(), "one two");
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
    }
    assert!(matches!(open_within(&path, Duration::ZERO), Err(UnwritableFile::NoReader(_))));
    assert_eq!(names(folder.path()), ["link", "pipe"]);
}

#[test]
fn folders_and_sockets_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let _listener = UnixListener::bind(at("socket")).unwrap();
    symlink("socket", at("link")).unwrap();
    let reported = |path: &Path| check_writable(path).unwrap_err().to_string();
    assert_eq!((reported(&at("socket")), reported(&at("link"))), ("is a socket".to_owned(), "is a socket".to_owned()));
    assert_eq!(reported(folder.path()), "is a directory");
    assert_eq!(reported(Path::new("/")), "is a directory");
    assert_eq!(reported(&at("new/")), "is the name of a directory");
    assert_eq!(reported(Path::new("")), "is the name of a directory");
    assert!(reported(&at("none/file")).contains("folder does not exist"));
    assert!(fs::metadata(at("socket")).unwrap().file_type().is_socket());
}

#[test]
fn a_probe_changes_nothing_and_removes_what_kills_left() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("f"), "old").unwrap();
    let before = fs::metadata(at("f")).unwrap().modified().unwrap();
    for name in [".f.12.tmp", ".f.12-3.tmp", ".f.tmp", ".f.x.tmp", ".g.12.tmp"] {
        fs::write(at(name), "").unwrap();
    }
    let target = check_writable(&at("f")).unwrap();
    let (_writing, temporary_path) = target.temporary(false).unwrap();
    check_writable(&at("f")).unwrap();
    assert!(temporary_path.exists(), "one that is being written stays");
    fs::remove_file(temporary_path).unwrap();
    assert_eq!(fs::read_to_string(at("f")).unwrap(), "old");
    assert_eq!(fs::metadata(at("f")).unwrap().modified().unwrap(), before);
    assert_eq!(names(folder.path()), [".f.tmp", ".f.x.tmp", ".g.12.tmp", "f"]);
}

#[test]
fn a_private_file_is_not_put_in_the_place_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let target = check_writable(&path).unwrap();
    target.write_private(b"first", false).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(target.write_private(b"second", false), Err(UnwritableFile::CreatedMeanwhile(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    target.write_private(b"third", true).unwrap();
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names(folder.path()).len()), ("third", 1));
}

#[test]
fn a_file_that_cannot_be_replaced_names_the_folder_to_mount() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, "").unwrap();
    let target = check_writable(&path).unwrap();
    let name = fs::canonicalize(folder.path()).unwrap();
    for kind in [io::ErrorKind::ResourceBusy, io::ErrorKind::ReadOnlyFilesystem] {
        let reported = target.unwritable(kind.into()).to_string();
        assert!(reported.contains(&format!("folder `{}`", name.display())) && reported.contains("mount"), "{reported}");
    }
}

#[test]
fn one_process_holds_a_lock_at_a_time_and_paths_to_one_file_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let target = check_writable(&at("f")).unwrap();
    let held = target.lock().unwrap();
    assert!(matches!(target.lock(), Err(LockError::Busy)));
    drop(held);
    assert!(target.lock().unwrap().is_some());
    fs::create_dir(at("folder")).unwrap();
    assert!(matches!(lock(&at("folder")), Err(LockError::Failed(_))));

    symlink("f", at("link")).unwrap();
    assert!(are_same(&at("f"), &at("link")) && are_same(&at("link"), &at("folder/../f")));
    assert!(!are_same(&at("f"), &at("g")));
    fs::write(at("f"), "").unwrap();
    fs::hard_link(at("f"), at("other name")).unwrap();
    assert!(are_same(&at("other name"), &at("link")) && !are_same(&at("f"), &at("g")));
}
