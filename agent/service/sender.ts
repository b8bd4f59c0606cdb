/**
 * The way to the control plane as the options want it: whom to trust, how to join, how to send.
 *
 * Adapter: randomness.
 */
import { randomBytes } from "node:crypto";
import { VERSION } from "../../schema/version.ts";
import { withJoin } from "../report/join.ts";
import type { Options } from "../option.ts";
import type { Level } from "../report/part.ts";
import type { Clock, Sender } from "../port.ts";
import { createSender } from "../report/send.ts";
import type { StateFiles } from "../state-file.ts";
import { dropFile, openFileToken, type TokenSource } from "../report/token.ts";
import { openTrust } from "../trust.ts";

export function openSender(from: {
  options: Options;
  clock: Clock;
  tokens: TokenSource;
  files: StateFiles;
  /** Where state is kept; `null` = nowhere. */
  directory: string | null;
  /** Nothing can be kept there now; without it, only where there is no directory. */
  forgetful?: boolean;
  /** See `JoinOptions`. */
  enrolled: (fingerprint: string) => void;
  hostname: string;
  providerIds: string[];
  log: (level: Level, message: string, fields?: Record<string, unknown>) => void;
}): Sender {
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
  const file = joinTokenFile === null ? null : openFileToken(joinTokenFile);
  return withJoin(sender, {
    base,
    token: () => joinToken ?? file?.() ?? null,
    // By now there may be another one in the file, for another join.
    spent: (token) => {
      if (joinTokenFile !== null && file?.() === token) dropFile(joinTokenFile);
    },
    enrolled: from.enrolled,
    tokens,
    trust,
    files,
    forgetful: from.forgetful ?? directory === null,
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
