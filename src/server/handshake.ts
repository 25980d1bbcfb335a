// The time that a connection has to say what it wants: so long to its Tversion, so long from there to a Tattach, and again so
// long for another one when that was refused. Whoever has attached may be silent for as long as it likes.

export class Handshake {
  readonly #ms: number;
  readonly #late: (missing: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #missing = 'no Tversion';

  /** `late` is called once when it takes longer. */
  constructor(ms: number, late: (missing: string) => void) {
    this.#ms = ms;
    this.#late = late;
    this.#restart();
  }

  /** Attached, or ended. */
  get over(): boolean {
    return this.#timer === undefined;
  }

  /** A message has come. A second Tversion is no progress. */
  heard(type: string): void {
    if (this.#timer === undefined) return;
    if (type === 'Tattach' || (type === 'Tversion' && this.#missing === 'no Tversion')) {
      this.#missing = 'nobody has attached';
      this.#restart();
    }
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #restart(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#late(this.#missing), this.#ms).unref();
  }
}
