/**
 * One simulated agent's connection to the control plane, with the node's own credential. A machine
 * whose network is cut reaches nothing.
 *
 * Adapter: the network, the agent's folder.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseAddress } from "../../agent/report/address.ts";
import { createSender } from "../../agent/report/send.ts";
import { openTokens, type TokenSource } from "../../agent/report/token.ts";
import type { Clock, Sender } from "../../agent/port/port.ts";
import type { Tls } from "../../agent/trust/trust.ts";
import { AGENT_FOLDER, TOKEN_FILE } from "../../reconciler/provider/kwok/agent-setting.ts";
import type { ReportReply } from "../../schema/report.ts";
import { VERSION } from "../../schema/version.ts";
import type { Machine } from "../machine/machine.ts";

export type Way = {
  stateDir: string;
  /** Of the control plane. */
  server: string;
  tls: () => Tls | null;
  random: () => number;
  folderOf(machine: Machine): string | null;
};

export class Senders {
  readonly #way: Way;
  readonly #base: string;
  readonly #open = new Map<Machine, { tokens: TokenSource; close: () => void }>();

  constructor(way: Way) {
    const address = parseAddress(way.server, "server");
    if (!address.ok) throw new Error(address.message);
    this.#base = address.base;
    this.#way = way;
  }

  hasCredential(folder: string): boolean {
    return existsSync(this.#file(folder, TOKEN_FILE));
  }

  open(machine: Machine, clock: Clock): Sender {
    this.close(machine);
    const folder = this.#way.folderOf(machine) ?? "";
    const tokens = openTokens({
      nodeId: machine.identity.nodeId,
      server: this.#base,
      directory: this.#file(folder),
      flag: undefined,
      file: this.#file(folder, TOKEN_FILE),
      environment: undefined,
      // That of this computer is not the machine's.
      defaultFile: this.#file(folder, "none"),
    });
    let heard: (reply: ReportReply) => void = () => undefined;
    let sender: Sender | null = null;
    const connect = (): Sender => {
      const { random, tls } = this.#way;
      const ports = { base: this.#base, tokens, clock, random, tls };
      const made = createSender({ ...ports, agentVersion: VERSION });
      made.listen((reply) => heard(reply));
      return made;
    };
    const close = (): void => {
      sender?.close();
      sender = null;
    };
    this.#open.set(machine, { tokens, close });
    return {
      send: async (report) => {
        if (machine.isCut()) {
          close();
          return { kind: "unreachable", message: "the network is cut" };
        }
        sender ??= connect();
        return sender.send(report);
      },
      listen: (hear) => {
        heard = hear;
      },
      connected: () => sender?.connected() === true,
      close,
    };
  }

  /** The machine's power is off: its connection breaks. */
  close(machine: Machine): void {
    this.#open.get(machine)?.close();
    this.#open.delete(machine);
  }

  closeAll(): void {
    for (const machine of [...this.#open.keys()]) this.close(machine);
  }

  adopt(machine: Machine, credential: string): void {
    const tokens = this.#open.get(machine)?.tokens;
    if (tokens?.current()?.value !== credential) tokens?.adopt(credential);
  }

  #file(...names: string[]): string {
    return join(this.#way.stateDir, AGENT_FOLDER, ...names);
  }
}
