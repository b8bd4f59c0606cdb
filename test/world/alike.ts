/** A map with the same value for every key: one answer for all nodes. */
export function alike<K, V>(value: V | undefined): ReadonlyMap<K, V> {
  return new Alike<K, V>(value);
}

class Alike<K, V> extends Map<K, V> {
  readonly #value: V | undefined;

  constructor(value: V | undefined) {
    super();
    this.#value = value;
  }

  override get(): V | undefined {
    return this.#value;
  }
}
