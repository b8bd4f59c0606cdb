/**
 * One connection per node: a newer one replaces the older, which is a dead connection, a copied
 * credential or an attack. A connection with a shared token is named by its first accepted report;
 * until then it takes one of few places.
 */
import type { ServerWebSocket } from "bun";
import type { NodeId } from "../../../schema/id.ts";
import { LIMIT } from "../../../schema/limit.ts";

/** Policy violation (RFC 6455 §7.4.1): agents connect again after a pause. */
export const VIOLATION = 1008;

type Named = { node: NodeId | null };

export class NamedSockets<T extends Named> {
  private readonly byNode = new Map<NodeId, ServerWebSocket<T>>();
  private readonly unnamed = new Set<ServerWebSocket<T>>();
  private readonly unnamedMax: number;

  constructor(unnamedMax: number = LIMIT.unnamedStreamsMax) {
    this.unnamedMax = unnamedMax;
  }

  /** False if no place is free. */
  open(socket: ServerWebSocket<T>): boolean {
    const { node } = socket.data;
    if (node !== null) this.put(socket, node);
    else if (this.unnamed.size >= this.unnamedMax) return false;
    else this.unnamed.add(socket);
    return true;
  }

  /** Ties a connection with a shared token to its node. */
  name(socket: ServerWebSocket<T>, node: NodeId): void {
    if (!this.unnamed.delete(socket)) return;
    socket.data.node = node;
    this.put(socket, node);
  }

  close(socket: ServerWebSocket<T>): void {
    this.unnamed.delete(socket);
    const { node } = socket.data;
    if (node !== null && this.byNode.get(node) === socket) this.byNode.delete(node);
  }

  get(node: NodeId): ServerWebSocket<T> | null {
    return this.byNode.get(node) ?? null;
  }

  /** Connections of known nodes. */
  get size(): number {
    return this.byNode.size;
  }

  private put(socket: ServerWebSocket<T>, node: NodeId): void {
    const older = this.byNode.get(node);
    this.byNode.set(node, socket);
    older?.close(VIOLATION, "replaced by a newer connection of the same node");
  }
}
