/**
 * Full enum names as people write and read them: `NODE_STATUS_ACTIVE` ↔ `Active`. Pure.
 */
import { HEALTH_STATUSES, INSTANCE_STATES, NODE_STATUSES } from "../schema/api.ts";
import { nearest } from "../schema/nearest.ts";
import { EXIT, type Failure, unknownName } from "./failure.ts";

export type NameAnswer = { ok: true; name: string };

/** `active`, `Active` or `NODE_STATUS_ACTIVE` → the full name. */
export function parseStatus(text: string): NameAnswer | Failure {
  // Unknown is accepted too, but not advertised.
  const words = ["active", "cordoned", "draining", "unhealthy", "terminated"];
  return parseName("status", text, NODE_STATUSES, "NODE_STATUS_", words);
}

export function parseHealth(text: string): NameAnswer | Failure {
  const words = ["healthy", "degraded", "unhealthy", "unknown"];
  return parseName("health", text, HEALTH_STATUSES, "HEALTH_STATUS_", words);
}

export function parseInstanceState(text: string): NameAnswer | Failure {
  const words = INSTANCE_STATES.slice(1).map((name) => shortOf(name, "INSTANCE_STATE_"));
  const answer = parseName("state", text, INSTANCE_STATES, "INSTANCE_STATE_", words);
  if (answer.ok || nearest(text, words) !== null) return answer;
  // The global `--state DIR` is meant by a value with a slash.
  const folder = `for the state folder of a control plane write --state ./${text}`;
  return { ...answer, message: `${answer.message}; ${folder}` };
}

function parseName(
  what: string,
  text: string,
  names: readonly string[],
  prefix: string,
  words: readonly string[],
): NameAnswer | Failure {
  const wanted = text.trim().toUpperCase().replaceAll("-", "_");
  const name = names.find((one) => one === wanted || one === `${prefix}${wanted}`);
  if (name !== undefined) return { ok: true, name };
  // An unknown filter exits like an unknown pool.
  return { ...unknownName(what, text, words), exit: EXIT.notFound, code: "not_found" };
}

function shortOf(name: string, prefix: string): string {
  return name.replace(prefix, "").toLowerCase();
}

/** `INSTANCE_STATE_PENDING_REGISTRATION` → `Pending registration`. */
export function titleOf(name: string | null | undefined): string {
  const bare = (name ?? "").replace(/^(NODE_STATUS|HEALTH_STATUS|INSTANCE_STATE)_/, "");
  const words = bare.toLowerCase().replaceAll("_", " ");
  return words === "" ? "Unknown" : `${words[0]?.toUpperCase()}${words.slice(1)}`;
}
