/**
 * The way to the control plane and back: the credential to show, the key whose orders count, and
 * the sender.
 */
import type { Options } from "../option.ts";
import type { Log } from "../report/part.ts";
import type { Sender } from "../port.ts";
import type { KeyTrust } from "../report/key-trust.ts";
import { openTokens } from "../report/token.ts";
import { openKeyTrust } from "./key.ts";
import { openSender } from "./sender.ts";

export type Way = { sender: Sender; keys: KeyTrust; adopt: (credential: string) => void };

export function openWay(
  from: Omit<Parameters<typeof openSender>[0], "tokens" | "enrolled">,
): Way {
  const { options, clock, files, directory, log } = from;
  const { tokens, adopt } = openCredential(options, directory, log);
  const keys = openKeyTrust({ options, files, clock, log });
  const enrolled = (key: string): void => keys.enrol(key, "join token");
  return { sender: openSender({ ...from, tokens, enrolled }), keys, adopt };
}

/** The credentials of this node, and what is done with one that a reply brings. */
function openCredential(options: Options, directory: string | null, log: Log) {
  const tokens = openTokens({
    nodeId: options.nodeId,
    server: options.server,
    directory,
    flag: options.authToken,
    file: options.authTokenFile,
    environment: options.authTokenEnvironment,
  });
  let told: string | null = null;
  const adopt = (credential: string) => {
    if (tokens.current()?.value === credential) return;
    const problem = tokens.adopt(credential);
    // It comes with every reply until it is used: a full disk is told once.
    if (problem !== null && problem === told) return;
    told = problem;
    const used = tokens.current()?.value === credential;
    const kept = problem === null ? {} : { kept: used ? "in memory only" : "not at all", problem };
    if (used) log("info", "this node has a credential of its own now", kept);
    else log("warn", "a new credential cannot be stored: the old one stays", kept);
  };
  return { tokens, adopt };
}
