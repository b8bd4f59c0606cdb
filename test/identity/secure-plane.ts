/**
 * A compiled control plane that is asked over TLS: under the authority that it made for itself, and
 * with a certificate where it asks for one.
 *
 * Adapter: processes, files, network.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Plane } from "../fixture/plane/plane.ts";

export class SecurePlane extends Plane {
  /** What is shown beside the authority that is trusted. */
  shown: { cert?: string; key?: string } = {};

  override async start(limitMs?: number): Promise<void> {
    await super.start(limitMs);
    this.url = this.url.replace("http:", "https:");
  }

  override fetch(path: string, init: RequestInit & { token?: string | null } = {}) {
    const ca = readFileSync(join(this.state, "ca.pem"), "utf8");
    return super.fetch(path, { ...init, ...{ tls: { ca, ...this.shown } } });
  }
}
