/**
 * Whom the agent believes to be its control plane: the system's authorities, those of a file, or
 * the one whose fingerprint it was told. A pinned authority is fetched once over a connection that
 * proves nothing, accepted only if it is the very one, and kept; from then on every connection must
 * show a certificate of it. So a machine needs no more than a line of text to know its server.
 *
 * Adapter: the network, the file system.
 */
import { createHash, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { readBounded } from "./bounded-text.ts";
import { readText, replaceFile } from "./state-file.ts";

/** For `fetch` and `WebSocket`; PEM. */
export type Tls = { ca?: string; cert?: string; key?: string };

/** The settings have the first of them by the same names. */
export type TrustOptions = {
  /** Base URL of the control plane. */
  server: string;
  /** `sha256:<hex>` of the authority's certificate. */
  caFingerprint: string | null;
  caFile: string | null;
  /** What this agent shows, where the control plane asks for it. */
  clientCertFile: string | null;
  clientKeyFile: string | null;
  /** Where a pinned authority is kept; `null` fetches it again each start. */
  directory: string | null;
  timeoutMs?: number;
};

export type Trust = {
  /** Fetches what is missing. `null` = connections may be made; else why not yet. */
  ready(): Promise<string | null>;
  /** `null` = as the system has it. */
  tls(): Tls | null;
};

const TIMEOUT_MS = 10_000;
/** A certificate is about 800 bytes. */
const PEM_BYTES_MAX = 64 * 1_024;

export function openTrust(options: TrustOptions): Trust {
  const { caFingerprint: fingerprint, directory, server: base } = options;
  const path = directory === null ? null : join(directory, "ca.pem");
  let pinned = fingerprint === null ? null : matching(readText(path), fingerprint);
  /** Files are read each time: a rotation needs no restart, and a late mount is no error. */
  const fromFiles = (): Tls => {
    const ca = readText(options.caFile);
    const cert = readText(options.clientCertFile);
    const key = readText(options.clientKeyFile);
    return {
      ...(ca === null ? {} : { ca }),
      ...(cert === null ? {} : { cert }),
      ...(key === null ? {} : { key }),
    };
  };
  return {
    async ready() {
      if (fingerprint === null || pinned !== null) return null;
      const { ca: _, ...shown } = fromFiles();
      const fetched = await fetchAuthority(base, shown, options.timeoutMs ?? TIMEOUT_MS);
      if (!fetched.ok) return fetched.why;
      pinned = matching(fetched.pem, fingerprint);
      if (pinned === null) return `${base} shows another authority than the one that is pinned`;
      if (path !== null) writeText(path, pinned);
      return null;
    },
    tls() {
      const tls = { ...fromFiles(), ...(pinned === null ? {} : { ca: pinned }) };
      return Object.keys(tls).length === 0 ? null : tls;
    },
  };
}

/** The one certificate of `pem` that has the fingerprint, as PEM; `null` if none has. */
export function matching(pem: string | null, fingerprint: string): string | null {
  const blocks = pem?.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  for (const block of blocks) {
    try {
      const { raw } = new X509Certificate(block);
      const found = `sha256:${createHash("sha256").update(raw).digest("hex")}`;
      if (found === fingerprint.toLowerCase()) return `${block}\n`;
    } catch {
      // What cannot be read is not the one.
    }
  }
  return null;
}

type Fetched = { ok: true; pem: string } | { ok: false; why: string };

async function fetchAuthority(base: string, shown: Tls, timeoutMs: number): Promise<Fetched> {
  try {
    const answer = await fetch(`${base}/ca.pem`, {
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
      // Nothing secret goes out, for a certificate is none and its key stays here; what comes in is
      // judged by its fingerprint alone.
      tls: { ...shown, rejectUnauthorized: false },
    });
    const pem = await readBounded(answer, PEM_BYTES_MAX);
    if (answer.ok) return { ok: true, pem };
    return { ok: false, why: `${base}/ca.pem answered ${answer.status}` };
  } catch (cause) {
    return { ok: false, why: cause instanceof Error ? cause.message : String(cause) };
  }
}

/** Without it the authority is fetched again after a restart, so a full disk is no error. */
function writeText(path: string, text: string): void {
  try {
    replaceFile(path, text);
  } catch {
    return;
  }
}
