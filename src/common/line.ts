// A line of those who wait: first come, first served, and whoever gives up leaves at once, wherever in the line it stands.
// Guarantees: each step costs the same however long the line is, so that all of a long one may give up together.

/** Where one stands. */
export interface Standing<T> {
  readonly value: T;
  before: Standing<T> | undefined;
  behind: Standing<T> | undefined;
  waits: boolean;
}

export class Line<T> {
  #first: Standing<T> | undefined;
  #last: Standing<T> | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get first(): T | undefined {
    return this.#first?.value;
  }

  /** Goes to the end. */
  enter(value: T): Standing<T> {
    const place: Standing<T> = { value, before: this.#last, behind: undefined, waits: true };
    if (this.#last === undefined) this.#first = place;
    else this.#last.behind = place;
    this.#last = place;
    this.#length++;
    return place;
  }

  /** Nothing happens where it has left already. */
  leave(place: Standing<T>): void {
    if (!place.waits) return;
    const { before, behind } = place;
    if (before === undefined) this.#first = behind;
    else before.behind = behind;
    if (behind === undefined) this.#last = before;
    else behind.before = before;
    place.waits = false;
    place.before = undefined;
    place.behind = undefined;
    this.#length--;
  }

  /** The first leaves. */
  shift(): T | undefined {
    const place = this.#first;
    if (place === undefined) return undefined;
    this.leave(place);
    return place.value;
  }
}
