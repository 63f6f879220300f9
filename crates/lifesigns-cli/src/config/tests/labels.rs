//! How long names and other labels may be.

use super::*;

#[test]
fn what_goes_into_answers_and_figures_is_bounded() {
    let check = |before: &str, key: &str, after: &str| {
        let text = |length: usize| format!("{before}{key} = \"{}\"\n{after}", "ä".repeat(length));
        if let Err(faults) = read(&text(100)) {
            panic!("{}", told(Err(faults)));
        }
        let faults = read(&text(101)).unwrap_err().list;
        let expected = format!("`{key}` must not be longer than 100 characters");
        assert!(faults.iter().any(|fault| fault.message == expected), "{faults:?}");
    };
    for key in ["name", "organization", "environment", "instance"] {
        check("", key, ONE_API);
    }
    for key in ["name", "version"] {
        check(ONE_API, key, "");
    }
    for key in ["revision", "version", "build_type", "build_date", "language", "environment"] {
        check(&format!("{ONE_API}[api.identity]\n"), key, "");
    }
    check(&format!("{ONE_API}[[api.route_group]]\nroutes = [\"/\"]\n"), "name", "");
    check(&format!("{ONE_API}[[check]]\n"), "name", "[check.memory]\n");
    let hash = lifesigns::TokenHash::of("x");
    let token = format!("{ONE_API}[[token]]\nhash = \"{hash}\"\nscopes = [\"metrics:read\"]\n");
    check(&token, "name", "");
    let variable = Pretended::variables(&[("LIFESIGNS_NAME", &"a".repeat(101))]);
    let told = told(read_in(ONE_API, &variable));
    assert!(told.starts_with("LIFESIGNS_NAME: error: `name` must not be longer"), "{told}");
}
