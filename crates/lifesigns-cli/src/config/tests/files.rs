//! Where files are that a configuration names.

use super::*;

#[test]
fn files_of_checks_are_relative_to_the_configuration_file() {
    let text = format!(
        "{ONE_API}[store]\npath = \"a.db\"\n\
         [[check]]\nname = \"a\"\n[check.file]\npath = \"spool.csv\"\n\
         [[check]]\nname = \"b\"\n[check.command]\nprogram = \"./x.sh\"\nfolder = \"work\"\n\
         [[check]]\nname = \"c\"\n[check.disk]\npath = \".\"\n\
         [[check]]\nname = \"d\"\n[check.sqlite]\npath = \"app.db\"\n\
         [[check]]\nname = \"e\"\n[check.certificate]\nfile = \"own.pem\"\n\
         [[check]]\nname = \"f\"\n[check.memory]\npid_file = \"polls.pid\"\n"
    );
    let here = std::env::current_dir().unwrap();
    for (file, folder) in [("lifesigns.toml", here.clone()), ("etc/lifesigns.toml", here.join("etc"))] {
        let settings = from_file(Path::new(file), &Pretended::default().file(file, &text));
        let settings = settings.unwrap_or_else(|faults| panic!("{}", told(Err(faults))));
        assert_eq!(settings.checks.len(), 6);
        assert_eq!(settings.store.file, Some(folder.join("a.db")));
    }
}
