/**
 * Many workers of AgentPools in this process: each is the agent's own core with its own connection,
 * joins with a token that the API server bound to its pod, and reports at the cadence that it is
 * told. Without GPUs, as in a pod that asked for none.
 *
 * Adapter: network, clock.
 */
import { WorkerDuty } from "../../../agent/report/worker-duty.ts";
import { withWorkerJoin } from "../../../agent/report/worker-join.ts";
import { createSender } from "../../../agent/report/send.ts";
import { openTokens } from "../../../agent/report/token.ts";
import type { Sender } from "../../../agent/port/port.ts";
import { openTrust } from "../../../agent/trust/trust.ts";
import { REAL_CLOCK } from "../../../reconciler/kubernetes/connect.ts";
import type { BootId, NodeId } from "../../../schema/id.ts";
import { VERSION } from "../../../schema/version.ts";
import type { SimNode } from "../../../simulator/scenario/scenario.ts";
import { Machine } from "../../../simulator/machine/machine.ts";
import type { Cluster } from "../kubernetes/cluster.ts";

export type CrowdPod = { name: string; uid: string; pool: string };

/** Tokens that are asked for at once. */
const ASKED = 8;

export class WorkerCrowd {
  /** Replies to reports, and reports that failed, by what was said. */
  replies = 0;
  readonly failures = new Map<string, number>();
  readonly joined = new Set<string>();
  private readonly cluster: Cluster;
  private readonly server: string;
  private readonly machines: Machine[] = [];
  private readonly senders: Sender[] = [];

  constructor(cluster: Cluster, server: string) {
    this.cluster = cluster;
    this.server = server;
  }

  /** Starts an agent in each pod, as fast as the API server makes tokens. */
  async start(pods: readonly CrowdPod[]): Promise<void> {
    const queue = [...pods];
    const work = async (): Promise<void> => {
      for (let pod = queue.shift(); pod !== undefined; pod = queue.shift()) {
        this.begin(pod, await this.tokenOf(pod));
      }
    };
    await Promise.all(Array.from({ length: ASKED }, work));
  }

  stop(): void {
    for (const machine of this.machines) machine.powerOff();
    for (const sender of this.senders) sender.close();
  }

  /** A TokenRequest as the kubelet makes it. */
  private async tokenOf({ name, uid }: CrowdPod): Promise<string> {
    const path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    const boundObjectRef = { kind: "Pod", apiVersion: "v1", name, uid };
    const body = { spec: { boundObjectRef, expirationSeconds: 3_600 } };
    const answer = await this.cluster.json<{ status: { token: string } }>(path, { body });
    return answer.status.token;
  }

  private begin(pod: CrowdPod, token: string): void {
    const { name, uid } = pod;
    const sender = this.openSender(pod, token);
    const node: SimNode = {
      ...{ id: name, provider: "", region: "", zone: "", rack: "", instanceType: "pod" },
      ...{ gpuCount: 0, gpuType: "", labels: {}, pool: "" },
    };
    const machine = new Machine(
      { name, nodeId: name as NodeId, instanceId: uid, node, ordinal: this.machines.length },
      {
        clock: REAL_CLOCK,
        deliver: () => Promise.resolve({ kind: "unreachable", message: "no way" }),
        openSender: () => sender,
        newStream: () => crypto.randomUUID(),
        random: Math.random,
        stirred: () => undefined,
        log: () => undefined,
      },
    );
    this.machines.push(machine);
    this.senders.push(sender);
    machine.bootAs({ id: crypto.randomUUID() as BootId, wallMs: Date.now() });
  }

  private openSender({ name, pool }: CrowdPod, token: string): Sender {
    const { server } = this;
    const tokens = openTokens({
      ...{ nodeId: name, server, directory: null, flag: undefined, file: undefined },
      ...{ environment: undefined, defaultFile: "/nowhere" },
    });
    const none = { caFingerprint: null, caFile: null, clientCertFile: null, clientKeyFile: null };
    const trust = openTrust({ server, ...none, directory: null });
    const own = createSender({
      ...{ base: server, tokens, clock: REAL_CLOCK, random: Math.random, agentVersion: VERSION },
      tls: () => trust.tls(),
    });
    const inner = withWorkerJoin(own, {
      ...{ base: server, token: () => token, tokens, trust },
      who: { node_id: name as NodeId, agent_version: VERSION, hostname: name, pool },
      log: () => undefined,
    });
    const duty = new WorkerDuty({ slots: null, ignored: [] });
    return {
      ...inner,
      listen: (heard) => inner.listen(heard),
      send: async (report) => {
        const answer = await inner.send({ ...report, worker: duty.report() });
        if (answer.kind === "reply") {
          duty.hear(answer.reply.worker);
          this.replies++;
          this.joined.add(name);
        } else {
          const key = `${answer.kind}: ${answer.message.replaceAll(name, "POD")}`;
          this.failures.set(key, (this.failures.get(key) ?? 0) + 1);
        }
        return answer;
      },
    };
  }
}
