/**
 * For whom a standby passes a call on. The leader's audit and its limit on failed logins are about
 * callers, not about the replica between them, so the replica says whose call it is and signs that
 * with what only the fleet's own processes know. Anything else in this header, and any other header
 * about addresses, is somebody's claim and counts for nothing. Pure.
 */
import { timingSafeEqual } from "node:crypto";

/** Says that another replica has passed the request on already, whatever its value. */
export const HOP = "navarch-forwarded";

/** Replicas' clocks may differ by as much; a copied header is worth nothing after it. */
const AGE_MS_MAX = 5 * 60_000;

/** A keyed digest of a text, under the fleet's secret. */
export type Sign = (text: string) => string;

const said = (remote: string, atMs: number): string => `hop\n${atMs}\n${remote}`;

/** The header's value; `remote` is the caller's address as the replica's own socket has it. */
export function formatHop(sign: Sign, remote: string, atMs: number): string {
  return `${atMs} ${sign(said(remote, atMs))} ${remote}`.trimEnd();
}

/** The caller's address; `null` = no replica of this fleet said so lately. */
export function readHop(sign: Sign, header: string | null, nowMs: number): string | null {
  const [, at, mac, remote] = /^(\d{1,15}) ([\w-]{43}) ([\w.:%-]{1,80})$/.exec(header ?? "") ?? [];
  if (at === undefined || mac === undefined || remote === undefined) return null;
  const atMs = Number(at);
  if (Math.abs(nowMs - atMs) > AGE_MS_MAX) return null;
  const expected = Buffer.from(sign(said(remote, atMs)));
  const found = Buffer.from(mac);
  return expected.length === found.length && timingSafeEqual(expected, found) ? remote : null;
}
