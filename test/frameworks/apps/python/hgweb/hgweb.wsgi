# As Mercurial's own example.
import os

from mercurial import demandimport

demandimport.enable()

from mercurial.hgweb import hgweb

application = hgweb(os.fsencode(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'hgweb.config')))
