/**
 * Joins the fleet: an agent without a credential presents its join token and receives one. The
 * request's nonce is on disk before it is sent, so a repeated request is the same join. A
 * credential that cannot be stored is not used: its use would complete the join.
 *
 * Adapter: the network.
 */
import { createHash } from "node:crypto";
import * as v from "valibot";
import { JoinReply, type JoinRequest, readJoinToken } from "../../schema/join.ts";
import type { WorkerJoinRequest } from "../../schema/join.ts";
import type { Report } from "../../schema/report.ts";
import { readBounded } from "../trust/bounded-text.ts";
import type { SendAnswer, Sender } from "../port/port.ts";
import type { Log } from "./part.ts";
import { parseNote, type StateFiles } from "../spool/state-file.ts";
import type { TokenSource } from "./token.ts";
import type { Trust } from "../trust/trust.ts";

export type JoinOptions = {
  base: string;
  /** The current token, from a flag or a file; `null` = none. */
  token: () => string | null;
  /** The node has joined with this token and no longer needs it. */
  spent?: (token: string) => void;
  /** The node has joined with a token that carried this key fingerprint. */
  enrolled: (fingerprint: string) => void;
  tokens: TokenSource;
  trust: Trust;
  files: StateFiles;
  /** True if state cannot be stored: the credential lives as long as the process. */
  forgetful: boolean;
  /** 32 random bytes, base64url. */
  newNonce: () => string;
  who: Pick<JoinRequest, "node_id" | "agent_version" | "hostname" | "provider_ids">;
  log: Log;
};

const FILE = "join.json";
const TIMEOUT_MS = 10_000;
const REPLY_BYTES_MAX = 16 * 1_024;

/** `token` is a hash; the token itself is not stored. */
const JoinNote = v.object({ token: v.string(), nonce: v.string(), done: v.boolean() });
type JoinNote = v.InferOutput<typeof JoinNote>;

const Refusal = v.object({ error: v.object({ code: v.string(), message: v.string() }) });

/**
 * A sender that first establishes trust and joins if needed. A failure is an answer, and the
 * delivery's back-off separates the attempts.
 */
export function withJoin(sender: Sender, options: JoinOptions): Sender {
  let refused = false;
  const memory = { request: parseNote(JoinNote, options.files.load(FILE)) };
  // An earlier process may have ended between the note and the deletion of the token.
  const left = options.token();
  if (left !== null && memory.request?.done === true && memory.request.token === hashOf(left)) {
    options.spent?.(left);
  }
  const send = async (report: Report): Promise<SendAnswer> => {
    const problem = await options.trust.ready();
    if (problem !== null) return { kind: "unreachable", message: problem };
    const joined = await join(options, memory, refused);
    if (joined !== null && options.tokens.current() === null) return joined;
    const answer = await sender.send(report);
    if (answer.kind === "unauthorized") refused = true;
    if (answer.kind === "reply") refused = false;
    if (answer.kind === "unauthorized" && joined?.kind === "unauthorized") return joined;
    return answer;
  };
  return {
    send,
    listen: (heard) => sender.listen(heard),
    connected: () => sender.connected(),
    close: () => sender.close(),
  };
}

/** `null` = there is a credential, or no token to join with. */
async function join(
  options: JoinOptions,
  memory: { request: JoinNote | null },
  refused: boolean,
): Promise<SendAnswer | null> {
  const { tokens, files } = options;
  const token = options.token();
  if (token === null || (tokens.hasOwn() && !refused)) return null;
  const hash = hashOf(token);
  const known = memory.request?.token === hash ? memory.request : null;
  // A token joins once; a refused credential waits for another token.
  if (known?.done === true) return null;
  const request = known ?? { token: hash, nonce: options.newNonce(), done: false };
  memory.request = request;
  const problem = files.save(FILE, JSON.stringify(request));
  if (problem !== null && !options.forgetful) {
    return { kind: "unreachable", message: `cannot store the join request: ${problem}` };
  }
  const answer = await ask(options, token, request);
  if (answer.kind !== "joined") return answer;
  const unkept = tokens.adopt(answer.credential, !options.forgetful);
  if (unkept !== null && !options.forgetful) {
    return { kind: "unreachable", message: `cannot store the credential: ${unkept}` };
  }
  const { fingerprint } = readJoinToken(token);
  if (fingerprint !== null) options.enrolled(fingerprint);
  memory.request = { ...request, done: true };
  const noted = files.save(FILE, JSON.stringify(memory.request)) === null;
  options.log("info", "joined", { node_id: answer.node });
  // If it could not be stored, the next process joins again with the same token.
  if (noted && unkept === null) options.spent?.(token);
  return null;
}

const hashOf = (token: string): string => createHash("sha256").update(token).digest("hex");

function ask(options: JoinOptions, token: string, request: JoinNote): Promise<Asked> {
  const { secret } = readJoinToken(token);
  return askJoin(options, { ...options.who, token: secret, nonce: request.nonce });
}

type Asked = { kind: "joined"; node: string; credential: string } | SendAnswer;

/** One request to join; its failure is an answer. */
export async function askJoin(
  { base, trust }: Pick<JoinOptions, "base" | "trust">,
  body: JoinRequest | WorkerJoinRequest,
): Promise<Asked> {
  const tls = trust.tls();
  try {
    const response = await fetch(`${base}/v1/agent/join`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      // A redirect would carry the token to another place.
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(tls === null ? {} : { tls }),
    });
    return judgeReply(response.status, await readBounded(response, REPLY_BYTES_MAX));
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    return { kind: "unreachable", message: `join: ${message}`.slice(0, 300) };
  }
}

function judgeReply(status: number, text: string): Asked {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // The status decides below.
  }
  const reply = v.safeParse(JoinReply, value);
  if (status >= 200 && status < 300 && reply.success) {
    return { kind: "joined", node: reply.output.node_id, credential: reply.output.credential };
  }
  const said = v.safeParse(Refusal, value);
  const why = said.success ? said.output.error.message : "no error body";
  const message = `join: HTTP ${status} (${why})`.slice(0, 300);
  const final = status === 400 || status === 401 || status === 403 || status === 409;
  return final ? { kind: "unauthorized", message } : { kind: "unreachable", message };
}
