/**
 * The key of the control plane as this machine was given it: by a flag or its variable, by the file
 * that the set-up over SSH and the installer place, or in the join token.
 *
 * Adapter: the file system.
 */
import { readJoinToken } from "../../schema/join.ts";
import { fingerprintOf, KeyTrust, type KeyTrustFrom, transportOf } from "../report/key-trust.ts";
import type { Options } from "../option.ts";
import type { Log } from "../report/part.ts";
import type { Clock } from "../port.ts";
import { readText, type StateFiles } from "../state-file.ts";

/** Placed by the set-up; a public key, PEM. */
export const DEFAULT_KEY_FILE = "/etc/navarch-node/release-key.pem";

export function openKeyTrust(from: {
  options: Options;
  files: StateFiles;
  clock: Clock;
  log: Log;
  keyFile?: string;
}): KeyTrust {
  const { options, files, clock, log, keyFile = DEFAULT_KEY_FILE } = from;
  if (transportOf(options.server) === "http") {
    const advice = "set server.tls on the control plane, for example { own_ca: true }";
    log("warn", "plain http: the credential and the reports can be read in transit", {
      server: options.server,
      advice,
    });
  }
  const enrolled: KeyTrustFrom["enrolled"][number][] = [];
  const given = options.keyFingerprint ?? readKeyFile(keyFile, options, log);
  if (given !== null) enrolled.push({ fingerprint: given, source: "enrolment" });
  const token = options.joinToken ?? readText(options.joinTokenFile)?.trim() ?? null;
  const { fingerprint } = readJoinToken(token ?? "");
  if (fingerprint !== null) enrolled.push({ fingerprint, source: "join token" });
  const { nodeId, server: base } = options;
  return new KeyTrust({ nodeId, base, enrolled, files, now: () => clock.wallMs(), log });
}

/** Many simulated nodes may share one machine: its key is not theirs. */
function readKeyFile(path: string, { fake }: Options, log: Log): string | null {
  const text = fake ? null : readText(path);
  if (text === null) return null;
  const body = /-----BEGIN PUBLIC KEY-----([^-]+)-----END/.exec(text)?.[1] ?? "";
  const fingerprint = fingerprintOf(body.replace(/\s/g, ""));
  if (fingerprint !== null) return fingerprint;
  // Not as if there were no file: the first key to come along would be trusted instead.
  log("error", "no Ed25519 public key in PEM form: every order is refused", { path });
  return `none in ${path}`.slice(0, 80);
}
