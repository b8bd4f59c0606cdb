/**
 * Connects the agent to the control plane: its credential, the key whose orders it accepts, and the
 * sender with trust and joining.
 *
 * Adapter: randomness, the file system.
 */
import { randomBytes } from "node:crypto";
import { readJoinToken } from "../../schema/join.ts";
import { VERSION } from "../../schema/version.ts";
import type { Options } from "./option.ts";
import type { Clock, Sender } from "../port/port.ts";
import { withJoin } from "../report/join.ts";
import { openPodToken } from "../report/pod-token.ts";
import { withWorkerJoin } from "../report/worker-join.ts";
import { fingerprintOf, KeyTrust, type KeyTrustFrom, transportOf } from "../report/key-trust.ts";
import type { Log } from "../report/part.ts";
import { createSender } from "../report/send.ts";
import { dropFile, openFileToken, openTokens, type TokenSource } from "../report/token.ts";
import { readText, type StateFiles } from "../spool/state-file.ts";
import { openTrust, type Trust } from "../trust/trust.ts";

export type WayOptions = {
  options: Options;
  clock: Clock;
  files: StateFiles;
  /** State directory; `null` = state is not kept. */
  directory: string | null;
  /** The state directory cannot be written now: a credential lives as long as the process. */
  forgetful: boolean;
  hostname: string;
  providerIds: string[];
  log: Log;
};

export type Way = { sender: Sender; keys: KeyTrust; adopt: (credential: string) => void };

export function openWay(from: WayOptions): Way {
  const { options, directory, log } = from;
  const tokens = openTokens({
    nodeId: options.nodeId,
    server: options.server,
    directory,
    flag: options.authToken,
    file: options.authTokenFile,
    environment: options.authTokenEnvironment,
    // The machine's token speaks for the machine, not for a pod on it.
    ...(options.worker === null ? {} : { defaultFile: "/dev/null" }),
  });
  const keys = openKeyTrust(from);
  const enrolled = (key: string): void => keys.enrol(key, "join token");
  const sender = openSender({ ...from, tokens, enrolled });
  return { sender, keys, adopt: createAdopter(tokens, log) };
}

/** Stores the credential that a reply carries. */
function createAdopter(tokens: TokenSource, log: Log): (credential: string) => void {
  let reported: string | null = null;
  return (credential) => {
    if (tokens.current()?.value === credential) return;
    const problem = tokens.adopt(credential);
    // Every reply carries it until it is used: a full disk is logged once.
    if (problem !== null && problem === reported) return;
    reported = problem;
    const used = tokens.current()?.value === credential;
    const kept = problem === null ? {} : { kept: used ? "in memory only" : "not at all", problem };
    if (used) log("info", "this node has its own credential now", kept);
    else log("warn", "cannot store the new credential: the old one stays in use", kept);
  };
}

/** Public key in PEM form, placed by set-up over SSH and by the installer. */
export const DEFAULT_KEY_FILE = "/etc/navarch-node/release-key.pem";

/** The key given by flag, variable, key file or join token, strongest first. */
export function openKeyTrust(
  from: Pick<WayOptions, "options" | "files" | "clock" | "log"> & { keyFile?: string },
): KeyTrust {
  const { options, files, clock, log, keyFile = DEFAULT_KEY_FILE } = from;
  if (transportOf(options.server) === "http") {
    const tls = "set server.tls on the control plane, for example { own_ca: true }";
    const isWorker = options.worker !== null;
    const advice = isWorker ? `${tls}, and put its CA as ca.crt beside velda.yaml` : tls;
    log("warn", "plain http: the credential and the reports can be read in transit", {
      server: options.server,
      advice,
    });
  }
  const enrolled: KeyTrustFrom["enrolled"][number][] = [];
  const given = options.keyFingerprint ?? readKeyFile(keyFile, options, log);
  if (given !== null) enrolled.push({ fingerprint: given, source: "enrolment" });
  const token = options.joinToken ?? readText(options.joinTokenFile)?.trim() ?? "";
  const { fingerprint } = readJoinToken(token);
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
  // Treated as no file, it would let the agent trust the first key that it is shown.
  log("error", "no Ed25519 public key in PEM form: every order is refused", { path });
  return `none in ${path}`.slice(0, 80);
}

export function openSender(
  from: WayOptions & {
    tokens: TokenSource;
    /** See `JoinOptions`. */
    enrolled: (fingerprint: string) => void;
  },
): Sender {
  const { options, clock, tokens, files, directory, log } = from;
  const { server: base, joinToken, joinTokenFile } = options;
  const trust = openTrust({ ...options, directory });
  const sender = createSender({
    base,
    tokens,
    clock,
    random: () => Math.random(),
    agentVersion: VERSION,
    note: (message) => log("info", message),
    tls: () => trust.tls(),
  });
  if (options.worker !== null) return openWorkerSender(sender, { ...from, trust });
  const file = joinTokenFile === null ? null : openFileToken(joinTokenFile);
  return withJoin(sender, {
    base,
    token: () => joinToken ?? file?.() ?? null,
    // The file may hold a newer token by now, for another join.
    spent: (token) => {
      if (joinTokenFile !== null && file?.() === token) dropFile(joinTokenFile);
    },
    enrolled: from.enrolled,
    tokens,
    trust,
    files,
    forgetful: from.forgetful,
    newNonce: () => randomBytes(32).toString("base64url"),
    who: {
      node_id: options.nodeId,
      agent_version: VERSION,
      hostname: from.hostname.slice(0, 255),
      // Many simulated nodes may share one machine: its identity is not theirs.
      provider_ids: options.fake ? [] : from.providerIds,
    },
    log,
  });
}

function openWorkerSender(
  sender: Sender,
  from: Pick<WayOptions, "options" | "hostname" | "log"> & { tokens: TokenSource; trust: Trust },
): Sender {
  const { options, hostname, tokens, trust, log } = from;
  return withWorkerJoin(sender, {
    base: options.server,
    token: openPodToken(options.worker?.tokenFile ?? null, log),
    tokens,
    trust,
    who: {
      node_id: options.nodeId,
      agent_version: VERSION,
      hostname: hostname.slice(0, 255),
      pool: options.pool,
    },
    log,
  });
}
