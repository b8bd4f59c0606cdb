/**
 * The signed header with which a standby forwards a call. The leader's audit and its limit on
 * failed logins are about the caller, so the standby names the caller's address and signs it with
 * the fleet's secret. An unsigned or wrong header, and any other header about addresses, is
 * ignored. Pure.
 */
import { isSame } from "../../security/auth.ts";

/** Marks a request as forwarded by a replica, whatever the value. */
export const HOP = "navarch-forwarded";

/** Tolerated clock difference of replicas; a copied header is worthless after it. */
const AGE_MS_MAX = 5 * 60_000;

/** A keyed digest of a text, under the fleet's secret. */
export type Sign = (text: string) => string;

const signed = (remote: string, atMs: number): string => `hop\n${atMs}\n${remote}`;

/** The header's value; `remote` is the caller's address as the replica's own socket has it. */
export function formatHop(sign: Sign, remote: string, atMs: number): string {
  return `${atMs} ${sign(signed(remote, atMs))} ${remote}`.trimEnd();
}

/** The caller's address; `null` = not signed by a replica of this fleet within the tolerance. */
export function readHop(sign: Sign, header: string | null, nowMs: number): string | null {
  const [, at, mac, remote] = /^(\d{1,15}) ([\w-]{43}) ([\w.:%-]{1,80})$/.exec(header ?? "") ?? [];
  if (at === undefined || mac === undefined || remote === undefined) return null;
  const atMs = Number(at);
  if (Math.abs(nowMs - atMs) > AGE_MS_MAX) return null;
  return isSame(sign(signed(remote, atMs)), mac) ? remote : null;
}
