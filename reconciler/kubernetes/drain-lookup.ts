/**
 * Shared lookups of drains, on demand and cached: existing DaemonSets, and volumes by Node.
 */
import type { V1VolumeAttachment, V1VolumeAttachmentSpec } from "@kubernetes/client-node";
import type { Clock } from "../core/clock.ts";
import type { KubeApi } from "./api.ts";
import { daemonOf } from "../core/kubernetes/drain-plan.ts";
import { getDaemonset, listAttachments, readItems } from "./drain-request.ts";
import type { KubePod } from "../core/kubernetes/object.ts";
import { readObject, readText } from "./read-field.ts";

type Ports = { api: KubeApi; clock: Clock };

/** A deleted DaemonSet takes its pods with it, so a stale entry is harmless. */
const DAEMONSET_FRESH_MS = 60_000;
const DAEMONSET_OLD_MS = 300_000;
const RETRY_MS = 2_000;
/** One request lists the attachments of the whole cluster; all callers share this interval. */
const ATTACHMENTS_MS = 10_000;

type Known = { exists: boolean; atMono: number };

export class Daemonsets {
  private readonly known = new Map<string, Known>();
  private readonly asked = new Map<string, number>();
  private readonly ports: Ports;

  constructor(ports: Ports) {
    this.ports = ports;
  }

  /**
   * Existing DaemonSets of these pods, as `namespace/name`; `null`: one is unknown, and `then` is
   * called when it may be known. Each pod must belong to a DaemonSet.
   */
  look(pods: readonly KubePod[], then: () => void): ReadonlySet<string> | null {
    const mono = this.ports.clock.monoMs();
    const existing = new Set<string>();
    let isComplete = true;
    for (const key of new Set(pods.map(daemonOf))) {
      const known = this.known.get(key);
      const ageMs = mono - (known?.atMono ?? Number.NEGATIVE_INFINITY);
      if (ageMs > DAEMONSET_FRESH_MS) this.ask(key, mono, then);
      if (known === undefined || ageMs > DAEMONSET_OLD_MS) isComplete = false;
      else if (known.exists) existing.add(key);
    }
    return isComplete ? existing : null;
  }

  sweep(): void {
    const mono = this.ports.clock.monoMs();
    for (const [key, { atMono }] of this.known)
      if (mono - atMono > DAEMONSET_OLD_MS) this.known.delete(key);
    for (const [key, atMono] of this.asked)
      if (mono - atMono > DAEMONSET_OLD_MS) this.asked.delete(key);
  }

  private ask(key: string, mono: number, then: () => void): void {
    const askedMono = this.asked.get(key);
    if (askedMono !== undefined && mono - askedMono < RETRY_MS) return;
    this.asked.set(key, mono);
    void this.ports.api.call(getDaemonset(key)).then((answer) => {
      const isForbidden = answer.kind === "refused" && answer.status === 403;
      const isMissing = answer.kind === "refused" && answer.status === 404;
      if (answer.kind !== "ok" && !isForbidden && !isMissing) return;
      // Without the permission its pods are left alone, as if it existed.
      this.known.set(key, { exists: !isMissing, atMono: this.ports.clock.monoMs() });
      then();
    });
  }
}

export type Attached =
  | { kind: "known"; volumes: readonly string[] }
  | { kind: "dark"; message: string };

export class Attachments {
  private list: { sentMono: number; byNode: Map<string, string[]> } | null = null;
  private askedMono = Number.NEGATIVE_INFINITY;
  private isAsking = false;
  private isForbidden = false;
  private message = "volume attachments have not been listed yet";
  private readonly ports: Ports;

  constructor(ports: Ports) {
    this.ports = ports;
  }

  /** Volumes attached to a Node as of `sinceMono` or later; requests a list if there is none. */
  look(node: string, sinceMono: number, then: () => void): Attached {
    const mono = this.ports.clock.monoMs();
    const isRecent = this.list !== null && this.list.sentMono >= sinceMono;
    const volumes = isRecent ? (this.list?.byNode.get(node) ?? []) : [];
    if (isRecent && volumes.length === 0) return { kind: "known", volumes };
    if (!this.isAsking && mono - this.askedMono >= ATTACHMENTS_MS) void this.ask(mono, then);
    // Without the permission a wait would never end.
    if (this.isForbidden || isRecent) return { kind: "known", volumes };
    return { kind: "dark", message: this.message };
  }

  private async ask(mono: number, then: () => void): Promise<void> {
    this.isAsking = true;
    this.askedMono = mono;
    const answer = await this.ports.api.call(listAttachments());
    this.isAsking = false;
    const listed = readItems(answer);
    if (listed.kind === "dark") {
      const isForbidden = answer.kind === "refused" && answer.status === 403;
      this.isForbidden = isForbidden;
      this.message = `volume attachments cannot be listed: ${listed.message}`;
    } else {
      this.isForbidden = false;
      const byNode = new Map<string, string[]>();
      for (const item of listed.items) {
        const { spec } = readObject<V1VolumeAttachment>(item);
        const { nodeName, source } = readObject<V1VolumeAttachmentSpec>(spec);
        const node = readText(nodeName);
        if (node === null) continue;
        const volume = readText(readObject(source)["persistentVolumeName"]);
        byNode.set(node, [...(byNode.get(node) ?? []), volume ?? "an inline volume"]);
      }
      this.list = { sentMono: mono, byNode };
    }
    then();
  }
}
