/**
 * Follows the cluster's HorizontalPodAutoscalers from the start of a term: their events exist only
 * as differences of two looks. A failed look is reported to readers and repeated. The permission is
 * no part of the shipped role, so it is asked for before the first list: nothing is refused for its
 * lack.
 */
import type { Clock } from "../../core/clock.ts";
import type { Asked, Failed } from "../../core/console/cluster.ts";
import { HpaLog } from "../../core/console/hpa-log.ts";
import type { KubeApi } from "../api.ts";
import { readList as readAll } from "../call.ts";
import { checkPermissions, formatPermission, type Permission } from "../permission.ts";
import { failed, lostAnswer } from "./copies.ts";
import { readHpa } from "./read-hpa.ts";

const PATH = "/apis/autoscaling/v2/horizontalpodautoscalers";
const LIST: Permission = {
  ...{ group: "autoscaling", resource: "horizontalpodautoscalers", verb: "list" },
  ...{ namespace: null, use: "the events of autoscalers" },
};
const LOOK_MS = 30_000;
const CALL_MS = 8_000;
/** While the permission is missing, or the server has only an older API. */
const REFUSED_MS = 60_000;

export class HpaWatch {
  readonly #ports: { api: KubeApi; clock: Clock };
  readonly #log = new HpaLog();
  #looking: Promise<void>;
  #last: Asked<HpaLog> = failed("unavailable", "the cluster was not looked at yet");
  #cancel: () => void = () => undefined;
  #isClosed = false;
  #mayList = false;

  constructor(ports: { api: KubeApi; clock: Clock }) {
    this.#ports = ports;
    this.#looking = this.#look();
  }

  /** The events so far, once there was a first look; or why the last one failed. */
  async current(): Promise<Asked<HpaLog>> {
    if (this.#isClosed) return failed("unavailable", "this process no longer leads; ask again");
    await this.#looking;
    return this.#last;
  }

  known(): HpaLog | null {
    return !this.#isClosed && this.#last.kind === "ok" ? this.#last.value : null;
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  async #look(): Promise<void> {
    const looked = (await this.#whyNot()) ?? (await this.#list());
    if (this.#isClosed) return;
    this.#last = looked;
    const isRefused = looked.kind === "failed" && looked.code === "cluster_unreachable";
    this.#cancel = this.#ports.clock.after(isRefused ? REFUSED_MS : LOOK_MS, () => {
      this.#looking = this.#look();
    });
  }

  /** `null`: it may list. */
  async #whyNot(): Promise<Failed | null> {
    if (this.#mayList) return null;
    const { missing, unknown } = await checkPermissions(this.#ports.api, [LIST]);
    const [problem] = unknown;
    if (problem !== undefined) return lostAnswer(problem.message);
    this.#mayList = missing.length === 0;
    if (this.#mayList) return null;
    const rule = formatPermission(LIST);
    return failed("cluster_unreachable", `the control plane's account may not ${rule}`);
  }

  async #list(): Promise<Asked<HpaLog>> {
    const { api, clock } = this.#ports;
    const answer = await readAll(api, PATH, {}, { timeoutMs: CALL_MS, read: readHpa });
    if (answer.kind === "ok") {
      this.#log.take(answer.items, clock.wallMs());
      return { kind: "ok", value: this.#log };
    }
    if (answer.kind === "lost") return lostAnswer(answer.message);
    this.#mayList = false;
    return failed("cluster_unreachable", `cannot list HorizontalPodAutoscalers: ${answer.message}`);
  }
}
