"""From codes back to images: decoders that mirror an encoder, and those that were published with one."""

from phispace.methods.decoders.decoder import Decoder as Decoder
from phispace.methods.decoders.decoder import Output as Output
from phispace.methods.decoders.decoder import make_decoder as make_decoder
from phispace.methods.decoders.way_back import mirror as mirror
