//! In which order the subjects of a round are measured.

/// Order of round `round`, from 0. Each begins with another subject, so that a machine that warms up or slows
/// down does so for all. An old binary is always next to the new one, whose ratio is taken within the round, and
/// they take turns in being the first.
pub(super) fn of_round<T: Copy>(
    subjects: &[T],
    is_new: impl Fn(T) -> bool,
    is_old: impl Fn(T) -> bool,
    round: u32,
) -> Vec<T> {
    let mut order: Vec<T> = subjects.iter().copied().filter(|&it| !is_old(it)).collect();
    if let Some(turn) = (round as usize).checked_rem(order.len()) {
        order.rotate_left(turn);
    }
    for old in subjects.iter().copied().filter(|&it| is_old(it)) {
        let new = order.iter().position(|&it| is_new(it));
        let behind = usize::from(round.is_multiple_of(2));
        order.insert(new.map_or(0, |new| new + behind), old);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(subjects: &str) -> Vec<String> {
        let subjects: Vec<char> = subjects.chars().collect();
        let of = |round| of_round(&subjects, |it| it == 'n', |it| it == 'o', round).into_iter().collect();
        (0..6).map(of).collect()
    }

    #[test]
    fn every_round_begins_with_another_subject() {
        assert_eq!(orders("dxn")[..4], ["dxn", "xnd", "ndx", "dxn"]);
        assert_eq!(orders("bn")[..3], ["bn", "nb", "bn"]);
    }

    #[test]
    fn the_two_binaries_are_side_by_side_and_take_turns_while_the_pair_is_rotated() {
        let orders = orders("dxno");
        assert_eq!(orders, ["dxno", "xond", "nodx", "dxon", "xnod", "ondx"]);
        assert_eq!(orders.iter().filter(|order| order.contains("no")).count(), 3);
    }

    #[test]
    fn the_two_binaries_alone_take_turns() {
        assert_eq!(orders("no")[..4], ["no", "on", "no", "on"]);
    }
}
