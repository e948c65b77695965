//! Names.

use super::*;

#[test]
fn a_container_gets_a_name_that_podman_allows_and_no_two_the_same() {
    for fine in ["web", "nginx_1", "Main_1", "a.b"] {
        assert_eq!(container_name(fine), fine);
    }
    let odd = ["a b", "a_b ", "-a", "_", "ä", &"x".repeat(64), &"x".repeat(65)]
        .map(|it| container_name(it).into_owned());
    for name in &odd {
        assert_eq!(&container_name(name), name, "it is one that fits");
        assert_eq!(odd.iter().filter(|other| *other == name).count(), 1, "{name}");
    }
}
