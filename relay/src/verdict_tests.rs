//! Every rule with the whole reason it gives.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;

const VOTED: Reception = Reception { upvotes: 14, downvotes: 1, subscribers: 71, is_subscribed: false };
const READ: Reception = Reception { upvotes: 0, downvotes: 0, subscribers: 4071, is_subscribed: false };
const REJECTED: Reception = Reception { upvotes: 1, downvotes: 4, subscribers: 4071, is_subscribed: false };

/// An active pulse of nobody in particular that names nothing.
fn pulse(author: &'static str) -> Witness<'static> {
    Witness { author: Some(author), is_active: true, ..Witness::default() }
}

fn naming(author: &'static str, reception: Reception) -> Witness<'static> {
    Witness { adversary: Some("Paper Lantern"), attack: Some("T1566.001"), reception, ..pulse(author) }
}

fn trusted(witness: Witness<'static>) -> Witness<'static> {
    Witness { is_trusted: true, ..witness }
}

fn note(source: &str, message: &str) -> Validation {
    Validation { source: source.to_owned(), message: Some(message.to_owned()) }
}

struct Case {
    what: &'static str,
    notes: Vec<Validation>,
    reports: &'static [&'static str],
    witnesses: Vec<Witness<'static>>,
    inactive: usize,
    left_out: usize,
    disposition: Disposition,
    confidence: Confidence,
    reason: &'static str,
}

fn case(what: &'static str, witnesses: Vec<Witness<'static>>) -> Case {
    Case {
        what,
        notes: Vec::new(),
        reports: &[],
        witnesses,
        inactive: 0,
        left_out: 0,
        disposition: Disposition::Unknown,
        confidence: Confidence::Low,
        reason: "",
    }
}

impl Case {
    fn noted(self, notes: Vec<Validation>) -> Self {
        Self { notes, ..self }
    }

    fn is(self, disposition: Disposition, confidence: Confidence, reason: &'static str) -> Self {
        Self { disposition, confidence, reason, ..self }
    }
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    use Confidence::{High, Low, Medium};
    use Disposition::{Clean, Common, Malicious, Suspicious, Unknown};
    vec![
        case("one pulse that names nothing", vec![pulse("trial")]).is(Unknown, Low,
            "Unknown: It stands in 1 pulse that nobody vouches for and that names no threat; their number says nothing. \
             Active in 1 of 1 pulse."),
        case("fifty pulses that name nothing", vec![pulse("trial"); 50]).is(Unknown, Low,
            "Unknown: It stands in 50 pulses that nobody vouches for and that name no threat; their number says nothing. \
             Active in 50 of 50 pulses."),
        case("a threat is named, nobody vouches", vec![naming("quay", Reception::default())]).is(Suspicious, Low,
            "Suspicious: quay names Paper Lantern, T1566.001 (0 subscribers, votes 0 for and 0 against). A threat is \
             named, but nobody vouches for it: no votes, few subscribers. Active in 1 of 1 pulse."),
        case("fifty pulses of one author that name a threat", vec![naming("quay", VOTED); 50]).is(Suspicious, Medium,
            "Suspicious: quay names Paper Lantern, T1566.001 (71 subscribers, votes 14 for and 1 against); quay names \
             Paper Lantern, T1566.001 (71 subscribers, votes 14 for and 1 against); quay names Paper Lantern, T1566.001 \
             (71 subscribers, votes 14 for and 1 against); and 47 more. That is one source; no trusted author and no \
             second one confirms it. Active in 50 of 50 pulses."),
        case("readers vote for a pulse without a threat", vec![Witness { reception: VOTED, ..pulse("kestrel") }]).is(Suspicious, Low,
            "Suspicious: kestrel names no threat (71 subscribers, votes 14 for and 1 against). Nobody who is backed by \
             readers names a threat. Active in 1 of 1 pulse."),
        case("two independent authors, one voted for, one widely read", vec![naming("quay", VOTED), naming("cert", READ)]).is(Malicious, Medium,
            "Malicious: quay names Paper Lantern, T1566.001 (71 subscribers, votes 14 for and 1 against); cert names Paper \
             Lantern, T1566.001 (4071 subscribers, votes 0 for and 0 against). Independent authors name a threat, and \
             readers back them. Active in 2 of 2 pulses."),
        case("a trusted author names a threat", vec![pulse("trial"), trusted(naming("AlienVault", Reception::default()))]).is(Malicious, High,
            "Malicious: trusted author AlienVault names Paper Lantern, T1566.001 (0 subscribers, votes 0 for and 0 \
             against). A trusted author who names the threat suffices. Active in 2 of 2 pulses."),
        case("a trusted author names none", vec![trusted(pulse("AlienVault"))]).is(Malicious, Medium,
            "Malicious: trusted author AlienVault names no threat (0 subscribers, votes 0 for and 0 against). A trusted \
             author suffices, though no threat is named. Active in 1 of 1 pulse."),
        case("a trusted author more than a year ago", vec![Witness { is_old: true, ..trusted(naming("AlienVault", READ)) }]).is(Suspicious, Low,
            "Suspicious: trusted author AlienVault names Paper Lantern, T1566.001 (4071 subscribers, votes 0 for and 0 \
             against). All of that is more than a year old. Active in 1 of 1 pulse."),
        case("a trusted author voted down", vec![trusted(naming("AlienVault", REJECTED))]).is(Unknown, Low,
            "Unknown: Every pulse that holds it has expired or was voted down by readers. Active in 1 of 1 pulse."),
        case("an expired pulse of a trusted author", vec![Witness { is_active: false, ..trusted(naming("AlienVault", READ)) }]).is(Unknown, Low,
            "Unknown: Every pulse that holds it has expired or was voted down by readers. Active in 0 of 1 pulse."),
        Case { inactive: 3, ..case("inactive everywhere", vec![]) }.is(Unknown, Low,
            "Unknown: No pulse of OTX holds it any more. Active in 0 of 3 pulses."),
        case("whitelisted, in no pulse", vec![]).noted(vec![note("whitelist", "Whitelisted domain example.com")]).is(Clean, High,
            "Clean: OTX clears it: whitelist (Whitelisted domain example.com)."),
        case("whitelisted, though a trusted author names a threat", vec![trusted(naming("AlienVault", READ))])
            .noted(vec![note("majestic", ""), note("whitelist", "Whitelisted domain example.com")]).is(Clean, High,
            "Clean: OTX clears it: whitelist (Whitelisted domain example.com). That outweighs what pulses say. Active in 1 \
             of 1 pulse."),
        Case { reports: &["accepted"], ..case("a false positive that OTX accepted", vec![naming("quay", VOTED)]) }.is(Clean, High,
            "Clean: OTX clears it: a report that it is no threat was accepted. That outweighs what pulses say. Active in 1 \
             of 1 pulse."),
        Case { reports: &["pending"], ..case("a false positive that is pending", vec![trusted(naming("AlienVault", READ))]) }.is(Suspicious, Medium,
            "Suspicious: A report that it is no threat is pending, so it is not called malicious yet. trusted author \
             AlienVault names Paper Lantern, T1566.001 (4071 subscribers, votes 0 for and 0 against). A trusted author who \
             names the threat suffices. Active in 1 of 1 pulse."),
        case("widely used", vec![naming("quay", VOTED)]).noted(vec![note("akamai", "Akamai rank: #2"), note("aws", "")]).is(Common, Medium,
            "Common: It is widely used: akamai (Akamai rank: #2), aws. Active in 1 of 1 pulse."),
        case("widely used, and a trusted author names a threat", vec![trusted(naming("AlienVault", READ))])
            .noted(vec![note("majestic", "")]).is(Suspicious, Medium,
            "Suspicious: It is widely used (majestic), so it is not called malicious for what its users do. trusted author \
             AlienVault names Paper Lantern, T1566.001 (4071 subscribers, votes 0 for and 0 against). A trusted author who \
             names the threat suffices. Active in 1 of 1 pulse."),
        case("a remark of OTX that clears nothing", vec![pulse("trial")]).noted(vec![note("suspicious", "suspiciously short IP")]).is(Unknown, Low,
            "Unknown: It stands in 1 pulse that nobody vouches for and that names no threat; their number says nothing. \
             Active in 1 of 1 pulse. OTX also notes: suspiciously short IP."),
        Case { left_out: 2, ..case("pulses that the settings leave out", vec![pulse("trial")]) }.is(Unknown, Low,
            "Unknown: It stands in 1 pulse that nobody vouches for and that names no threat; their number says nothing. \
             Active in 1 of 1 pulse. Left out by the relay's settings: 2."),
    ]
}

#[test]
fn every_rule_gives_its_disposition_and_its_reason() {
    for case in cases() {
        let reports: Vec<String> = case.reports.iter().map(|report| (*report).to_owned()).collect();
        let evidence = Evidence {
            notes: &case.notes,
            false_positives: &reports,
            witnesses: case.witnesses,
            inactive: case.inactive,
            left_out: case.left_out,
        };
        let opinion = weigh(&evidence).unwrap();
        assert_eq!(opinion.reason, case.reason, "{}", case.what);
        assert_eq!((opinion.disposition, opinion.confidence), (case.disposition, case.confidence), "{}", case.what);
    }
}

#[test]
fn nothing_known_is_no_opinion() {
    assert_eq!(weigh(&Evidence::default()), None);
    assert_eq!(weigh(&Evidence { left_out: 3, ..Evidence::default() }), None);
}

#[test]
fn however_many_pulses_nobody_vouches_for_it_is_never_malicious() {
    for count in 1..200 {
        for witness in
            [pulse("one"), naming("one", Reception::default()), naming("one", REJECTED), naming("one", READ)]
        {
            let evidence = Evidence { witnesses: vec![witness; count], ..Evidence::default() };
            assert_ne!(weigh(&evidence).unwrap().disposition, Disposition::Malicious, "{count} times {witness:?}");
        }
    }
}

#[test]
fn confidence_in_a_pulse_is_that_in_who_vouches_for_it() {
    for (witness, confidence) in [
        (trusted(pulse("AlienVault")), Confidence::High),
        (trusted(naming("AlienVault", REJECTED)), Confidence::Low),
        (naming("quay", VOTED), Confidence::Medium),
        (naming("cert", READ), Confidence::Medium),
        (Witness { reception: VOTED, ..pulse("kestrel") }, Confidence::Low),
        (naming("quay", Reception::default()), Confidence::Low),
        (naming("quay", REJECTED), Confidence::Low),
    ] {
        assert_eq!(witness.confidence(), confidence, "{witness:?}");
    }
}

#[test]
fn an_opinion_rests_on_the_pulses_that_it_names() {
    let witnesses = vec![pulse("trial"), trusted(naming("AlienVault", READ)), naming("quay", VOTED)];
    let opinion = weigh(&Evidence { witnesses, ..Evidence::default() }).unwrap();
    assert_eq!(opinion.grounds, [1]);
}

#[test]
fn names_that_authors_chose_do_not_flood_a_reason() {
    let flood = "x\n".repeat(5000);
    let witness = Witness { author: Some(&flood), malware: Some(&flood), adversary: Some(&flood), ..pulse("") };
    let evidence = Evidence { witnesses: vec![witness; 50], ..Evidence::default() };
    let reason = weigh(&evidence).unwrap().reason;
    assert!(reason.len() < 1024 && !reason.contains('\n'), "{} bytes", reason.len());
}

#[test]
fn clean_counts_before_malicious_and_nothing_before_what_a_person_says() {
    let priority = |disposition| found(disposition, Confidence::Low, String::new()).priority();
    let order = [
        Disposition::Clean,
        Disposition::Malicious,
        Disposition::Suspicious,
        Disposition::Common,
        Disposition::Unknown,
    ];
    assert!(order.map(priority).is_sorted_by(|one, next| one > next));
    assert!(order.map(priority).iter().all(|priority| *priority <= 90));
}
