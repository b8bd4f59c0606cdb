/**
 * Journal entries of the fake cloud, whose state is their fold: reading the journal restores the
 * cloud, and tests read from it what really happened. Entries carry their due times, so that
 * replaying needs neither settings nor a clock.
 */
import type { InstanceId } from "../../../schema/id.ts";
import type { CreateRequest, Instance, RefusalClass } from "../../core/provider.ts";

/** `sent`: the caller was answered. `lost`: accepted, but the answer never arrived. */
export type Reply = "sent" | "lost";

export type Entry =
  /** The first entry of a cloud. The salt keeps instance ids of a wiped cloud from coming back. */
  | { kind: "opened"; atMs: number; salt: string }
  /** A request was accepted; `id`: of its instance, if it takes effect. */
  | {
      kind: "create.accepted";
      atMs: number;
      id: InstanceId;
      request: CreateRequest;
      nodeId: string;
      fence: number;
      landAtMs: number;
      bootMs: number;
      pricePerHour: number | null;
      reply: Reply;
    }
  /** The request was recognised by token or name and answered with its earlier instance. */
  | {
      kind: "create.repeated";
      atMs: number;
      id: InstanceId;
      token: string;
      nodeId: string;
      fence: number;
      reply: Reply;
    }
  | {
      kind: "create.refused";
      atMs: number;
      token: string;
      nodeId: string;
      fence: number;
      class: RefusalClass;
      message: string;
      reply: Reply;
    }
  | { kind: "landed"; atMs: number; instance: Instance; runningAtMs: number }
  /** A late request whose token, name or fence was outdated: nothing was created. */
  | { kind: "dropped"; atMs: number; id: InstanceId; reason: string }
  | { kind: "running"; atMs: number; id: InstanceId; internalIp: string }
  /** `fence` is `null` when the instance was deleted outside of Navarch. */
  | {
      kind: "terminate.accepted";
      atMs: number;
      id: InstanceId;
      nodeId: string | null;
      fence: number | null;
      terminatedAtMs: number;
      vanishAtMs: number;
      forgetAtMs: number;
      reply: Reply;
    }
  | {
      kind: "terminate.refused";
      atMs: number;
      id: InstanceId;
      nodeId: string;
      fence: number;
      class: RefusalClass;
      reply: Reply;
    }
  | {
      kind: "rebooted";
      atMs: number;
      id: InstanceId;
      nodeId: string;
      fence: number;
      reply: Reply;
    }
  | { kind: "terminated"; atMs: number; id: InstanceId }
  /** No longer listed. */
  | { kind: "vanished"; atMs: number; id: InstanceId }
  /** Its token may be used again: the provider's window has passed. */
  | { kind: "forgotten"; atMs: number; id: InstanceId; token: string }
  /**
   * `startTicks`: field 22 of `/proc/PID/stat` (proc_pid_stat(5)), which detects a reused pid.
   */
  | {
      kind: "process.started";
      atMs: number;
      id: InstanceId;
      pid: number;
      startTicks: string;
      bootId: string;
    }
  | { kind: "process.ended"; atMs: number; id: InstanceId; pid: number; reason: string };
