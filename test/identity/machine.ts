/** One machine: the agent's own way to the control plane, with a folder for its state. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { withJoin } from "../../agent/report/join.ts";
import type { SendAnswer, Sender } from "../../agent/port/port.ts";
import { createSender } from "../../agent/report/send.ts";
import { openStateFiles } from "../../agent/spool/state-file.ts";
import { openTokens, type TokenSource } from "../../agent/report/token.ts";
import { openTrust } from "../../agent/trust/trust.ts";
import type { Report } from "../../schema/report.ts";
import type { Plane } from "./plane.ts";

export type MachineOptions = {
  joinToken?: string;
  fingerprint?: string;
  caFile?: string;
  /** Client certificate and key. */
  certFile?: string;
  keyFile?: string;
  /** Address of the control plane to use instead, such as a standby's. */
  base?: string;
  /** Reports by POST only, without a WebSocket upgrade. */
  post?: boolean;
  /** State folder left by an earlier run of the same machine. */
  folder?: string;
  /** The disk is full. */
  full?: boolean;
  token?: string;
};

const CLOCK = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after: (ms: number, work: () => void) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

export class Machine {
  readonly folder: string;
  readonly tokens: TokenSource;
  private readonly p: Plane;
  private readonly name: string;
  private readonly sender: Sender;
  joinToken: string | null;
  /** Fingerprints of the keys that tokens brought. */
  readonly enrolled: string[] = [];

  constructor(p: Plane, name: string, options: MachineOptions = {}) {
    this.p = p;
    this.name = name;
    this.joinToken = options.joinToken ?? null;
    this.folder = options.folder ?? join(p.folder, `machine-${name}`);
    if (options.full !== true) mkdirSync(this.folder, { recursive: true });
    const base = options.base ?? p.base;
    this.tokens = openTokens({
      nodeId: name,
      server: base,
      directory: this.folder,
      flag: options.token,
      file: undefined,
      environment: undefined,
      defaultFile: join(p.folder, "none"),
    });
    const trust = openTrust({
      server: base,
      caFingerprint: options.fingerprint ?? null,
      caFile: options.caFile ?? null,
      clientCertFile: options.certFile ?? null,
      clientKeyFile: options.keyFile ?? null,
      directory: this.folder,
    });
    const inner = createSender({
      base,
      tokens: this.tokens,
      clock: options.post === true ? { ...CLOCK, monoMs: () => -1 } : CLOCK,
      random: () => 0.5,
      agentVersion: "x",
      tls: () => trust.tls(),
    });
    let serial = 0;
    this.sender = withJoin(inner, {
      base,
      token: () => this.joinToken,
      tokens: this.tokens,
      trust,
      enrolled: (fingerprint) => void this.enrolled.push(fingerprint),
      files: openStateFiles(this.folder),
      forgetful: false,
      newNonce: () =>
        `${name}-${++serial}-${performance.now()}`.replace(/[^\w-]/g, "").padEnd(40, "z"),
      who: { node_id: name as never, agent_version: "x", hostname: name, provider_ids: [] },
      log: () => undefined,
    });
  }

  connected(): boolean {
    return this.sender.connected();
  }

  /** One report; a credential in its answer is adopted, as the agent's core does. */
  async say(): Promise<SendAnswer> {
    const report = {
      version: 1,
      node_id: this.name,
      boot_id: `boot-${this.name}`,
      stream: "s",
      agent_version: "x",
      simulated: false,
      sent_at: new Date(this.p.w.clock.wallMs()).toISOString(),
      inventory: { hostname: this.name, gpus: [] },
    };
    const answer = await this.p.during(this.sender.send(report as unknown as Report));
    if (answer.kind === "reply" && answer.reply.credential) {
      this.tokens.adopt(answer.reply.credential);
    }
    return answer;
  }

  close(): void {
    this.sender.close();
  }
}
