/**
 * Joins as a worker of an AgentPool: the pod's service-account token takes the place of a join
 * token. A repeated join gets the same credential, so nothing has to be stored before the request,
 * and a refused credential is asked for again.
 */
import type { WorkerJoinRequest } from "../../schema/join.ts";
import type { SendAnswer, Sender } from "../port/port.ts";
import type { Trust } from "../trust/trust.ts";
import { askJoin } from "./join.ts";
import type { Log } from "./part.ts";
import type { TokenSource } from "./token.ts";

export type WorkerJoinOptions = {
  base: string;
  /** The pod's current token, which the kubelet renews; `null` = none. */
  token: () => string | null;
  tokens: TokenSource;
  trust: Trust;
  who: Omit<WorkerJoinRequest, "pod_token">;
  log: Log;
};

/** A sender that joins first, and again when its credential is refused. */
export function withWorkerJoin(sender: Sender, options: WorkerJoinOptions): Sender {
  const { tokens, trust, who, log } = options;
  let isRefused = false;
  const join = async (): Promise<SendAnswer | null> => {
    const token = options.token();
    if (token === null || (tokens.hasOwn() && !isRefused)) return null;
    const answer = await askJoin(options, { ...who, pod_token: token });
    if (answer.kind !== "joined") return answer;
    const unkept = tokens.adopt(answer.credential);
    isRefused = false;
    log("info", "joined as a worker", {
      node_id: answer.node,
      ...(unkept === null ? {} : { kept: "in memory only" }),
    });
    return null;
  };
  return {
    send: async (report) => {
      const problem = await trust.ready();
      if (problem !== null) return { kind: "unreachable", message: problem };
      const failed = await join();
      if (failed !== null) return failed;
      const answer = await sender.send(report);
      if (answer.kind === "unauthorized") isRefused = true;
      return answer;
    },
    listen: (heard) => sender.listen(heard),
    connected: () => sender.connected(),
    close: () => sender.close(),
  };
}
