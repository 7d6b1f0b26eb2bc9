/** The entry of the page. */
import { render } from 'preact';
import '../styles/base.css';
import '../styles/shell.css';
import '../styles/parts.css';
import '../styles/pages.css';
import 'uplot/dist/uPlot.min.css';
import { App } from './app.tsx';

render(<App />, document.getElementById('app')!);
