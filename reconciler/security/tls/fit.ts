/**
 * Whether a server could show what it was given: asked before one that works is stopped for it.
 * Files of somebody's are read while they may be half-written, so everything is doubted. Pure.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { ServerTls } from "./open.ts";

/** What speaks against it, in words, or `null`. Dates are not judged: that is for who calls. */
export function whyUnfit({ cert, key, clientCa }: ServerTls): string | null {
  const leaf = attempt(() => new X509Certificate(cert));
  if (!leaf.ok) return `the certificate cannot be read: ${leaf.why}`;
  const own: Attempt<KeyObject> = attempt(() => createPrivateKey(key));
  if (!own.ok) return `the key cannot be read: ${own.why}`;
  if (!leaf.value.checkPrivateKey(own.value)) return "the key is not that of the certificate";
  const chain = attempt(() => createSecureContext({ cert, key }));
  if (!chain.ok) return `the certificate's chain cannot be read: ${chain.why}`;
  if (clientCa === null) return null;
  // No certificate at all would leave the choice of authorities to the system.
  const first = attempt(() => new X509Certificate(clientCa));
  const all = first.ok ? attempt(() => createSecureContext({ cert, key, ca: clientCa })) : first;
  return all.ok ? null : `the authorities of callers cannot be read: ${all.why}`;
}

type Attempt<T> = { ok: true; value: T } | { ok: false; why: string };

function attempt<T>(read: () => T): Attempt<T> {
  try {
    return { ok: true, value: read() };
  } catch (cause) {
    return { ok: false, why: cause instanceof Error ? cause.message : String(cause) };
  }
}
