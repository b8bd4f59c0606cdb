/** A certificate authority of its own for one throw-away cluster, and what it signs. */
import { generateKeyPairSync } from "node:crypto";
import { issue, makeAuthority } from "../../../reconciler/security/tls/certificate.ts";
import type { KeyPair, CertificateRequest } from "../../../reconciler/security/tls/certificate.ts";

/** Kubernetes reads the common name as the user. */
export type Subject = Pick<CertificateRequest, "name" | "groups" | "hosts">;

/** From and until which wall milliseconds a certificate is valid. */
export type Life = { fromMs: number; untilMs: number };

export type Authority = { certificate: string; issue(subject: Subject, life?: Life): KeyPair };

/** Long enough for any test, short enough that a forgotten key is worthless soon. */
const LIFE_MS = 7 * 24 * 3_600_000;

/** Clocks of two processes on one machine agree; this only makes the instant of issue valid. */
const BACKDATE_MS = 3_600_000;

/** A new authority; `nowMs` is the wall clock. */
export function openAuthority(name: string, nowMs: number): Authority {
  const life = { fromMs: nowMs - BACKDATE_MS, untilMs: nowMs + LIFE_MS };
  const own = makeAuthority({ name, ...life });
  return {
    certificate: own.certificate,
    issue: (subject, given = life) => issue(own, { ...subject, ...given }),
  };
}

/** A pair of keys for signing service account tokens, PEM. */
export function openTokenKey(): { publicKey: string; privateKey: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    publicKey: publicKey.export({ type: "spki", format: "pem" }).toString(),
    // SEC 1 rather than PKCS 8: the form that both Kubernetes' own tools and Bun read.
    privateKey: privateKey.export({ type: "sec1", format: "pem" }).toString(),
  };
}
