/**
 * Whose request body it is: what one of them may have, and how many of one caller are read at once.
 * Pure.
 */
import { LIMIT } from "../../../schema/limit.ts";
import { blockOf } from "../../security/audit/logins.ts";
import type { Principal } from "../../security/auth.ts";
import type { Caller } from "./body.ts";

/** The one path whose caller is known only by its body. */
export const JOIN = /^(\/api)?\/v1\/agent\/join$/;
const AGENT = /^(\/api)?\/v1\/agent\//;

/** An agent sends one report at a time; a connection that died may still hold an earlier one. */
const NODE_PLACES = 4;
/** A person's scripts, or the agents of one address before each has a credential of its own. */
const PLACES = 16;

/** A caller with a credential; agents that share a token are told apart by their address. */
export function callerOf(principal: Principal, pathname: string, remote: string): Caller {
  const bytesMax = AGENT.test(pathname) ? LIMIT.reportBytesMax : LIMIT.requestBytesMax;
  const { name, node, shared } = principal;
  if (node !== null) return { key: name, bytesMax, placesMax: NODE_PLACES, stranger: false };
  const key = shared ? `shared ${blockOf(remote)}` : name;
  return { key, bytesMax, placesMax: PLACES, stranger: false };
}

/** A caller that this process does not know, or not yet. */
export function strangerOf(remote: string, bytesMax: number = LIMIT.joinBytesMax): Caller {
  return { key: `stranger ${blockOf(remote)}`, bytesMax, placesMax: PLACES, stranger: true };
}
