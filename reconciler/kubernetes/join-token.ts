/**
 * Creates a bootstrap token for one machine to join the cluster (Kubernetes, "Authenticating with
 * Bootstrap Tokens"): created when its set-up begins, deleted when that ends, and expiring soon if
 * the deletion fails. The value is returned once and neither stored nor logged. Without a fence: a
 * stale leader only creates another token, which is harmless.
 */
import type { V1Secret } from "@kubernetes/client-node";
import { unreachable } from "../../schema/unreachable.ts";
import type { KubeApi, Sent } from "./api.ts";
import { findJoinCluster, type OwnWay } from "./join-cluster.ts";
import { explainForbidden } from "./permission.ts";
import type { Hindered, Join, JoinPass, JoinRequest } from "../core/kubernetes/scheduler.ts";

export type JoinPorts = {
  api: KubeApi;
  wallMs: () => number;
  /** Cryptographically secure random bytes. */
  draw: (count: number) => Uint8Array;
  /** Name of this fleet, for the Secret's description. */
  fleet: string;
  /** `kubernetes.join.server`. */
  server: string | null;
  /** Rejects with a message without secrets. */
  own: () => Promise<OwnWay>;
};

const SECRETS = "/api/v1/namespaces/kube-system/secrets";
/** The group that kubeadm's rules allow to join (kubeadm, `init` phase bootstrap-token). */
export const JOIN_GROUP = "system:bootstrappers:kubeadm:default-node-token";

/** Booting and installing may take longer than declared, and clocks may differ. */
const LASTS_MS_MIN = 15 * 60_000;
/** A forgotten token must not be valid for days, whatever is configured. */
const LASTS_MS_MAX = 24 * 3_600_000;
const TIMEOUT_MS = 10_000;
/** There are two billion names. */
const TRIES = 3;

export function openJoin(ports: JoinPorts): Join {
  return async (desired) => {
    let own: OwnWay;
    try {
      own = await ports.own();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return { kind: "hindered", message: `the cluster's credentials cannot be read: ${why}` };
    }
    const cluster = await findJoinCluster(ports.api, ports.server, own);
    if (cluster.kind === "hindered") return cluster;
    for (let attempt = 1; ; attempt++) {
      const made = await makeToken(ports, desired);
      if (made.kind === "hindered") return made;
      if (made.kind === "ok") return { ...cluster, ...made };
      if (attempt === TRIES) return { kind: "hindered", message: "no free name for a token" };
    }
  };
}

type Made = Pick<JoinPass, "kind" | "token" | "end"> | Hindered | { kind: "taken" };

async function makeToken(ports: JoinPorts, desired: JoinRequest): Promise<Made> {
  const { api, wallMs, draw, fleet } = ports;
  const { pool, node } = desired;
  const [id, secret] = [drawText(draw, 6), drawText(draw, 16)];
  const path = `${SECRETS}/bootstrap-token-${id}`;
  const lastsMs = Math.min(Math.max(desired.lastsMs, LASTS_MS_MIN), LASTS_MS_MAX);
  const call = { timeoutMs: TIMEOUT_MS, lane: "status", pool } as const;
  const end = async (): Promise<void> => {
    await api.call({ ...call, verb: "delete", path });
  };
  const body: Sent<V1Secret> = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: `bootstrap-token-${id}`,
      namespace: "kube-system",
      labels: { "app.kubernetes.io/managed-by": "navarch" },
    },
    type: "bootstrap.kubernetes.io/token",
    stringData: {
      description: `Navarch fleet ${fleet}, pool ${pool ?? "none"}, node ${node}`,
      "token-id": id,
      "token-secret": secret,
      expiration: new Date(wallMs() + lastsMs).toISOString().replace(/\.\d+Z$/, "Z"),
      "usage-bootstrap-authentication": "true",
      "usage-bootstrap-signing": "true",
      "auth-extra-groups": JOIN_GROUP,
    },
  };
  const answer = await api.call({ ...call, verb: "create", path: SECRETS, body });
  switch (answer.kind) {
    case "ok":
      return { kind: "ok", token: `${id}.${secret}`, end };
    case "lost":
      // It may exist; if this deletion fails too, it expires.
      await end();
      return { kind: "hindered", message: `the API server is away: ${answer.message}` };
    case "refused": {
      if (answer.status === 409 && answer.reason === "AlreadyExists") return { kind: "taken" };
      const forbidden = explainForbidden(answer);
      const said = forbidden ?? `the API server refused it: ${answer.status} ${answer.message}`;
      return { kind: "hindered", message: `no token to join the cluster could be made: ${said}` };
    }
    default:
      return unreachable(answer);
  }
}

const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";
/** The largest multiple of 36 below 256: bytes from there on would favour the first letters. */
const FAIR = 252;

/** Uniformly distributed letters and digits. */
function drawText(draw: JoinPorts["draw"], length: number): string {
  let text = "";
  while (text.length < length) {
    for (const byte of draw(length - text.length)) {
      if (byte < FAIR) text += LETTERS[byte % LETTERS.length];
    }
  }
  return text;
}
