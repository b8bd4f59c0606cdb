/**
 * Checks a server's certificate, key and authorities before a running server is stopped for them.
 * Files may be half-written when they are read. Pure.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { ServerTls } from "./open.ts";

/** Why a server cannot use them, or `null`. Dates are not judged: callers do that. */
export function whyUnfit({ cert, key, clientCa }: ServerTls): string | null {
  const leaf = attempt(() => new X509Certificate(cert));
  if (!leaf.ok) return `the certificate cannot be read: ${leaf.why}`;
  const own: Attempt<KeyObject> = attempt(() => createPrivateKey(key));
  if (!own.ok) return `the key cannot be read: ${own.why}`;
  if (!leaf.value.checkPrivateKey(own.value)) return "the key does not match the certificate";
  const chain = attempt(() => createSecureContext({ cert, key }));
  if (!chain.ok) return `the certificate's chain cannot be read: ${chain.why}`;
  if (clientCa === null) return null;
  // With no certificate at all the system's authorities would be used.
  const first = attempt(() => new X509Certificate(clientCa));
  const all = first.ok ? attempt(() => createSecureContext({ cert, key, ca: clientCa })) : first;
  return all.ok ? null : `the client CA cannot be read: ${all.why}`;
}

type Attempt<T> = { ok: true; value: T } | { ok: false; why: string };

function attempt<T>(read: () => T): Attempt<T> {
  try {
    return { ok: true, value: read() };
  } catch (cause) {
    return { ok: false, why: cause instanceof Error ? cause.message : String(cause) };
  }
}
