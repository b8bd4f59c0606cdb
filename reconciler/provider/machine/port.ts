/**
 * The port to the machines themselves: what the cloud's record is brought in line with. Each order
 * returns at once and is carried out by somebody who outlives the control plane; `look` tells what
 * became of it. An order that is repeated changes nothing.
 */
import type { InstanceId } from "../../../schema/id.ts";

/** What a machine is bought with, as far as the machine itself has use for it. */
export type MachineOrder = { id: InstanceId; name: string; sshKeys: readonly string[] };

export type MachineState =
  /** Nothing was ever started. */
  | { kind: "absent" }
  /** On its way up; also between two boots. */
  | { kind: "booting" }
  | { kind: "up" }
  /** It ran, and is powered off. */
  | { kind: "off" }
  /** It did not come up, for a reason that is for a person. */
  | { kind: "failed"; why: string }
  | { kind: "ending" }
  /** Ended, and nothing of it is left. */
  | { kind: "gone" };

/** What can be known of a machine before it answers anybody. */
export type MachineFacts = {
  address: string;
  /** In the form of OpenSSH's public key files, without a comment. */
  hostKeys: readonly string[];
};

export type Machines = {
  /** Whether anything can be booted yet: the image may still be in the making. */
  ready(): boolean;
  /** Keeps what a machine is given before it is known whether there will be one. */
  prepare(id: InstanceId, credential: string | null): void;
  boot(order: MachineOrder): void;
  look(id: InstanceId): MachineState;
  facts(id: InstanceId): MachineFacts | null;
  /**
   * Power off and on, once for each reboot that was ordered: `count` is how many there were since
   * the machine was bought, and what is done already is not done again.
   */
  reset(order: MachineOrder, count: number): void;
  end(id: InstanceId): void;
  /** Forgets a machine that has ended, or that there never was. */
  remove(id: InstanceId): void;
};
