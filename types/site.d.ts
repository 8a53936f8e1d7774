// Types that the scripts of the pages share.

/** What `h` takes as a child: nodes, text, nothing, or lists of them. */
type Child = Node | string | number | false | null | undefined | Child[];

/** Properties of an element for `h`; names with a hyphen, class, for and role are attributes. */
type Properties<Tag extends keyof HTMLElementTagNameMap> = {
  [Name in keyof HTMLElementTagNameMap[Tag]]?: HTMLElementTagNameMap[Tag][Name] | string | number | null;
} & { [name: `${string}-${string}`]: string | number | null | undefined } & {
  class?: string | null;
  for?: string;
  role?: string;
  autofocus?: boolean;
  ontoggle?: (event: Event) => void;
  onclick?: (event: MouseEvent) => void;
};

/** Options of one call. */
interface CallOptions<Sent = unknown> {
  body?: Sent;
  concert?: string;
  key?: string;
  etag?: string | null;
  ifMatch?: string;
  signal?: AbortSignal;
  bearer?: string;
  accept?: string;
  cache?: RequestCache;
  patience?: number;
  onRetry?: (error: any) => void;
}

/** A section of a seat map, and a seat as it is shown. */
type Section = Api.Section;
interface ShownSeat {
  section: string | null;
  row: number | null;
  seat: number;
}

declare class BarcodeDetector {
  constructor(options: { formats: string[] });
  detect(source: HTMLVideoElement): Promise<Array<{ rawValue: string }>>;
}

interface Plot {
  setSize(size: { width: number; height: number }): void;
  setData(data: Array<Array<number | null>>): void;
  destroy(): void;
}

interface Window {
  uPlot: new (options: object, data: Array<Array<number | null>>, place: HTMLElement) => Plot;
}
