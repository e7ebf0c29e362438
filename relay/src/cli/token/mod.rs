//! `threatrelay token`: tokens for relays that no platform talks to (`mint`, `jwks`), and why a token is accepted or not
//! (`explain`). A minted token holds the OTX key; that is what tokens are for, and it goes to standard output alone.

mod explain;
mod mint;

use clap::Subcommand;

use super::outcome::Outcome;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token, signed by a shared secret (HS256) or a private key (RS256)
    #[command(after_help = mint::AFTER_HELP)]
    Mint(Box<mint::Minting>),
    /// Print the public half of a private key as a JWKS document, for auth.jwksFile
    #[command(after_help = "Example:\n  threatrelay token jwks --private-key-file issuer.pem > jwks.json")]
    Jwks(mint::Signer),
    /// Say what a token claims, and whether a relay with these settings accepts it
    #[command(after_help = explain::AFTER_HELP)]
    Explain(explain::Explanation),
}

pub(super) fn run(command: &TokenCommand) -> Outcome {
    match command {
        TokenCommand::Mint(minting) => mint::run(minting),
        TokenCommand::Jwks(signer) => mint::jwks(signer),
        TokenCommand::Explain(explanation) => explain::run(explanation),
    }
}
